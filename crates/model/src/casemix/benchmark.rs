//! The regional DRG cost benchmark as a value: what the program `drg-cost` finishes from released
//! cells, and what tables, files and reports show.

/// One value that may be uncertain: a percentile from a histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounded {
    /// The estimate.
    pub value: f64,
    /// The true value is not further away, in the same unit; 0 when it is exact.
    pub error: f64,
}

/// A part of a group's charges.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// Fee class of the data model.
    pub class: String,
    /// Share of all released charges of the group, in 0..=1.
    pub share: f64,
}

/// Where a relative weight comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The group's own cost.
    Own,
    /// Too few stays: the cost of its adjacent group (ADRG).
    Adjacent,
    /// Too few stays in the adjacent group too, or its cost is withheld: no weight.
    None,
}

/// The hospital with the lowest mean among those of one tier.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// Tier.
    pub tier: String,
    /// Hospital.
    pub hospital_id: String,
    /// Its mean, in currency units a stay.
    pub mean: f64,
    /// Its stays.
    pub stays: u64,
}

/// One disease group in the region. Amounts in currency units a stay, lengths in days; `None` is
/// withheld or not defined.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupRow {
    /// Code in the grouper scheme of the benchmark.
    pub drg_code: String,
    /// English and Chinese name, where a code list has one.
    pub name: Option<(String, String)>,
    /// Stays.
    pub stays: u64,
    /// Hospitals with at least one of them.
    pub hospitals: u64,
    /// Mean.
    pub mean: Option<f64>,
    /// Sample standard deviation.
    pub sd: Option<f64>,
    /// Coefficient of variation, `sd / mean`.
    pub cv: Option<f64>,
    /// Geometric mean.
    pub geometric_mean: Option<f64>,
    /// 10th, 25th, 50th, 75th, 90th percentile.
    pub percentiles: [Option<Bounded>; 5],
    /// Relative weight (F1).
    pub relative_weight: Option<f64>,
    /// What the weight is of.
    pub weight_basis: Basis,
    /// Stays whose cost was left out by trimming (F5); `None` when nothing was trimmed, or when
    /// what lies outside the bounds is too little to be told.
    pub trimmed_stays: Option<u64>,
    /// Mean length of stay.
    pub los_mean: Option<f64>,
    /// Median length of stay.
    pub los_median: Option<Bounded>,
    /// Geometric mean length of stay (F12).
    pub los_geometric_mean: Option<f64>,
    /// Share that died in hospital.
    pub death_rate: Option<f64>,
    /// Charges by fee class (F15), largest first; empty when nothing was released.
    pub composition: Vec<Share>,
    /// Best of each tier.
    pub best: Vec<Best>,
}

/// One hospital against the region. Every value is over its released cells.
#[derive(Debug, Clone, PartialEq)]
pub struct HospitalRow {
    /// Hospital.
    pub hospital_id: String,
    /// tertiary, secondary, primary; empty when it was not told.
    pub tier: String,
    /// Stays in released cells, ungrouped ones included.
    pub stays: u64,
    /// Share of them with a group (F3).
    pub grouping_rate: Option<f64>,
    /// Case-mix index (F2).
    pub cmi: Option<f64>,
    /// Sum of relative weights.
    pub total_weight: Option<f64>,
    /// Σ actual / Σ expected of cost (F4, form a).
    pub cost_index: Option<f64>,
    /// Σ kₙ / Σ n of cost (F4, form b).
    pub cost_index_mean_ratio: Option<f64>,
    /// Form a of length of stay.
    pub time_index: Option<f64>,
    /// Form b of length of stay.
    pub time_index_mean_ratio: Option<f64>,
    /// Share of its stays in groups whose mean is above the standard by the alert threshold.
    pub share_above: Option<f64>,
    /// Share of its stays in groups whose mean is below the standard by the same.
    pub share_below: Option<f64>,
    /// Alerts (F16).
    pub alerts: u64,
}

/// A whole benchmark.
#[derive(Debug, Clone, PartialEq)]
pub struct Benchmark {
    /// Region.
    pub region: String,
    /// Grouper name@version of every group.
    pub scheme: String,
    /// `2024Q1`, or empty for everything.
    pub period: String,
    /// Tier that was asked for, or empty.
    pub tier: String,
    /// `cost` or `charge`.
    pub measure: String,
    /// Trimming method, or `none`.
    pub trim: String,
    /// name@version of the parameters.
    pub parameters: String,
    /// Hospitals that answered, and hospitals asked.
    pub hospitals_answered: (u64, u64),
    /// Share of the region's stays in released groups, and in released cells of hospitals.
    pub coverage: (Option<f64>, Option<f64>),
    /// Groups and cells of hospitals that were withheld.
    pub withheld: (u64, u64),
    /// Groups, most stays first.
    pub groups: Vec<GroupRow>,
    /// Hospitals in order of their ids.
    pub hospitals: Vec<HospitalRow>,
}
