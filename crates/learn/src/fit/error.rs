//! Why a model cannot be fitted, and what can be done.

/// A level whose stays all have the event, or none of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Separated {
    /// The column.
    pub name: String,
    /// All have it.
    pub all: bool,
}

/// Why there is no estimate.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FitError {
    /// Fewer stays than the rule asks for.
    #[error(
        "the model has {parameters} parameters and {stays} stays; each parameter needs {} stays, and \
         {} degrees of freedom must remain. Use fewer terms or coarser codes",
        super::STAYS_PER_PARAMETER,
        super::FEWEST_DEGREES
    )]
    TooManyParameters {
        /// Coefficients, and the shape where it is estimated.
        parameters: u64,
        /// Stays in the fit.
        stays: u64,
    },
    /// Columns behind which too few persons stand.
    #[error(
        "too few patients stand behind {}: in it, outside it, or with and without the event. Leave \
         the term out or use coarser codes",
        .0.join(", ")
    )]
    Rare(Vec<String>),
    /// Not even the sums over all stays are told.
    #[error(
        "too few patients or hospitals stand behind the fit as a whole, or have too large a value. Widen --where, \
         or model the logarithm"
    )]
    Withheld,
    /// A column is a combination of others.
    #[error(
        "the term {name} is a linear combination of {}; leave one of them out, or use --ridge",
        .of.join(", ")
    )]
    Collinear {
        /// The column.
        name: String,
        /// Of which.
        of: Vec<String>,
    },
    /// No finite estimate exists.
    #[error(
        "{}: such a level has no finite coefficient. Merge it with another, or use --firth or --ridge",
        separated(.0)
    )]
    Separation(Vec<Separated>),
    /// Firth's correction, without which some pairs of columns are withheld.
    #[error(
        "Firth's correction needs the information of every pair of terms, and {pairs} are withheld \
         because too few patients have both or only one. Use coarser codes, or --ridge"
    )]
    Untold {
        /// How many.
        pairs: usize,
    },
    /// Sums that no set of stays has.
    #[error("a hospital sent sums that no stays have: {0}. The fit is not believed")]
    Impossible(String),
    /// Contributions beyond what a sum takes.
    #[error(
        "some stays contribute more than 2^40 to a sum, or have no mean under the link. Model the logarithm of large numbers, or give \
         them in larger units"
    )]
    Clamped,
    /// The steps do not settle.
    #[error(
        "the fit has not converged after {steps} steps. Use fewer terms, another link, or --ridge"
    )]
    NotConverged {
        /// Steps taken.
        steps: u32,
    },
    /// The information has no inverse.
    #[error(
        "the model's information has no inverse; leave out terms that say the same, or use --ridge"
    )]
    Indefinite,
    /// A negative binomial fit whose variance does not exceed the mean.
    #[error("the responses vary no more than Poisson's do; use --family poisson")]
    NoOverdispersion,
}

fn separated(levels: &[Separated]) -> String {
    let text = |level: &Separated| {
        let what = if level.all { "all stays of" } else { "no stay of" };
        let verb = if level.all { "have" } else { "has" };
        format!("{what} {} {verb} the event, or a value above 0", level.name)
    };
    levels.iter().map(text).collect::<Vec<_>>().join("; ")
}
