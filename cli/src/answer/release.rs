//! How an answer came about: the `release` object of the JSON form.

use serde::Serialize;

use crate::console::Console;
use crate::message::Message;
use crate::noise;
use crate::sheet::{number, percent};

/// Where an answer's values come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Release {
    /// Id in the coordinator's record.
    pub id: String,
    /// `pooled` or `per_hospital`.
    pub scope: String,
    /// `masked`: regional sums that nobody can take apart; `clear`: each hospital's own release.
    pub mode: String,
    /// Who was asked and who answered.
    pub hospitals: Hospitals,
    /// Share of stays behind released cells, 0 to 1; none when some hospital's size is unknown.
    pub stays_coverage: Option<f64>,
    /// How many cells.
    pub cells: ReleasedCells,
    /// Measures withheld in released cells.
    pub measures_withheld: u64,
    /// Bytes of cells that left the hospitals.
    pub bytes_received: u64,
    /// Requests sent to each hospital.
    pub rounds: u32,
    /// Names of the masked rounds, for the audit; empty in mode `clear`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sids: Vec<String>,
    /// How exact each percentile is; empty when none was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approximations: Vec<Approximation>,
    /// What each hospital says of its noise, or what the noise of regional sums is; empty unless the mode is `noisy`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub noise: Vec<Noise>,
    /// From question to answer, at the coordinator.
    pub elapsed_ms: u64,
}

/// What a hospital says of the noise in its cells.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Noise {
    /// Its id; empty for regional sums, to which the witness has added the noise.
    pub hospital: String,
    /// What the question cost it, in ρ of zero-concentrated differential privacy.
    pub rho: String,
    /// ε of its whole yearly budget, at `delta`.
    pub epsilon_year: f64,
    /// δ of a year.
    pub delta: f64,
    /// Rows that one person contributes at most.
    pub rows_per_person: u32,
    /// Groups of fewer noisy rows than this are not told.
    pub least_rows: u64,
    /// Standard deviation of a group's number of rows.
    pub rows_deviation: f64,
}

impl Noise {
    /// Whether another hospital says the same.
    #[must_use]
    pub fn says_like(&self, other: &Self) -> bool {
        Self { hospital: other.hospital.clone(), ..self.clone() } == *other
    }
}

impl From<proto::v1::HospitalNoise> for Noise {
    fn from(told: proto::v1::HospitalNoise) -> Self {
        let noise = told.noise.unwrap_or_default();
        Self {
            hospital: told.hospital,
            rho: privacy::noise::share(noise.rho_micro),
            epsilon_year: noise.epsilon_year,
            delta: noise.delta,
            rows_per_person: noise.rows_per_person,
            least_rows: noise.least_rows,
            rows_deviation: noise.rows_deviation,
        }
    }
}

/// How exact the percentiles of one aggregate are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Approximation {
    /// The aggregate, as SQL names it.
    pub aggregate: String,
    /// Groups that have a percentile.
    pub groups: u64,
    /// Those whose percentile is exact.
    pub exact: u64,
    /// Groups that have none: nobody has a value, or too few lie beyond the percentile.
    pub untold: u64,
    /// No true percentile is further away than this, in the column's unit.
    pub largest_error: f64,
    /// The same as a share of the percentile.
    pub largest_relative_error: f64,
}

/// Who was asked and who answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hospitals {
    /// Hospitals asked.
    pub asked: u32,
    /// Hospitals whose cells are in the answer.
    pub answered: u32,
    /// The others.
    pub missing: Vec<Missing>,
}

/// A hospital that is not in the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Its id.
    pub hospital: String,
    /// `unreachable`, `deadline`, `refused: <code>`, `no_snapshot`, `identity`, `failed`,
    /// `held_back`.
    pub reason: String,
}

/// How many cells left the hospitals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReleasedCells {
    /// Cells in the answer.
    pub released: u64,
    /// Cells that a hospital kept.
    pub withheld: u64,
}

impl From<proto::v1::Provenance> for Release {
    fn from(told: proto::v1::Provenance) -> Self {
        let missing = told.missing.into_iter();
        let missing = missing.map(|m| Missing { hospital: m.hospital, reason: m.reason });
        let approximations = told.approximations.into_iter().map(|a| Approximation {
            aggregate: a.aggregate,
            groups: a.groups,
            exact: a.exact,
            untold: a.untold,
            largest_error: a.largest_error,
            largest_relative_error: a.largest_relative_error,
        });
        Self {
            id: told.id,
            scope: told.scope,
            mode: told.mode,
            hospitals: Hospitals {
                asked: told.hospitals_asked,
                answered: told.hospitals_answered,
                missing: missing.collect(),
            },
            stays_coverage: told.stays_coverage,
            cells: ReleasedCells { released: told.cells_released, withheld: told.cells_withheld },
            measures_withheld: told.measures_withheld,
            bytes_received: told.bytes_received,
            rounds: told.rounds,
            sids: told.sids,
            approximations: approximations.collect(),
            noise: told.noise.into_iter().map(Noise::from).collect(),
            elapsed_ms: told.elapsed_ms,
        }
    }
}

impl Release {
    /// The share of stays behind the answer, for people.
    #[must_use]
    pub fn coverage(&self, console: Console) -> String {
        self.stays_coverage.map_or_else(|| console.text(Message::UnknownShare, &[]), percent)
    }

    /// One line, and one for each missing hospital.
    #[must_use]
    pub fn summary(&self, console: Console) -> String {
        let hospitals = &self.hospitals;
        let mut text = console.text(
            Message::Summary,
            &[
                &hospitals.answered,
                &hospitals.asked,
                &self.coverage(console),
                &self.cells.released,
                &self.cells.withheld,
                &self.mode,
                &self.elapsed_ms,
            ],
        );
        let mut line = |added: String| {
            text.push_str("\n  ");
            text.push_str(&added);
        };
        if self.measures_withheld > 0 {
            line(console.text(Message::MeasuresWithheld, &[&self.measures_withheld]));
        }
        for one in &self.approximations {
            line(console.text(
                Message::Approximate,
                &[
                    &one.aggregate,
                    &one.exact,
                    &(one.groups - one.exact.min(one.groups)),
                    &number(one.largest_error),
                    &percent(one.largest_relative_error),
                    &one.untold,
                ],
            ));
        }
        noise::lines(&self.noise, console).into_iter().for_each(&mut line);
        for missing in &hospitals.missing {
            line(console.text(Message::Missing, &[&missing.hospital, &missing.reason]));
        }
        text
    }
}
