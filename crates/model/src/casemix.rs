//! Case-mix: what a region computes from released cells of disease groups.
//!
//! Pure formulas, each with its source and its edge cases: weights, indices, trimming, payment,
//! catalogues, composition, deviations, alerts. Every threshold, multiple and coefficient is a
//! parameter of a dated file ([`parameters`]); no formula has a number of its own. A value that
//! cannot be had (an empty group, a withheld cell, a total of zero) is `None` or an error, never a
//! zero. Money is whole ten-thousandths of the currency unit, as in `Decimal128(18, 4)`, and what
//! is paid is whole cents that add up to the fund.

pub mod alert;
pub mod benchmark;
pub mod catalogue;
pub mod combination;
pub mod composition;
pub mod deviation;
pub mod drg_cost;
pub mod error;
pub mod explain;
pub mod index;
pub mod money;
pub mod outcome;
pub mod outlier;
pub mod parameters;
pub mod payment;
pub mod readmission;
pub mod standardised;
pub mod stay_length;
pub mod trim;
pub mod weight;

pub use error::CasemixError;

#[cfg(test)]
mod vectors;
