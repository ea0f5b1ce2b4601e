//! Why a case-mix formula has no answer.

/// Why a formula has no answer. Amounts and counts stay out of the text; names may be in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CasemixError {
    /// A total that is divided by, or divided up by, is zero (F7).
    #[error("{0} add up to zero")]
    ZeroTotal(&'static str),
    /// A quantity that cannot be negative is.
    #[error("{0} cannot be negative")]
    Negative(&'static str),
    /// A quantity that must be a number is not one.
    #[error("{0} must be a finite number")]
    NotFinite(&'static str),
    /// Numbers beyond what exact integers hold.
    #[error("{0} are too large")]
    TooLarge(&'static str),
    /// A group has cases and neither weight nor score.
    #[error("group {0} has cases and no weight or score")]
    NoScore(String),
    /// Text that is no amount of money.
    #[error("{text:?} is no amount: digits, a point and at most {digits} decimals are")]
    Amount {
        /// What was read.
        text: String,
        /// Decimals that are accepted.
        digits: u32,
    },
}
