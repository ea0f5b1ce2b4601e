//! Noisy answers: what hospitals say of their noise, and how far each number of the answer may be off.

use std::collections::BTreeMap;

use model::{Refusal, RefusalCode};
use privacy::combine::ReceivedNoise;
use privacy::noise::share;
use privacy::request::Scope;
use privacy::{Measure, Received};
use proto::v1;
use query::question::{Question, Spread};

/// The dimension that keeps hospitals apart.
const HOSPITAL: &str = "hospital_id";

/// What came with noisy cells.
#[derive(Debug)]
pub(crate) struct Noised {
    /// For each request, the variance of each cell of each group.
    pub(crate) spreads: Vec<Spread>,
    /// The statements of each hospital, one for each request.
    statements: Vec<(String, ReceivedNoise)>,
}

/// A hospital answered with noise when none was asked for, or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its answer is not as noisy as the question")]
pub(crate) struct Unlike;

/// Noise is drawn by each hospital for its own cells.
pub(crate) fn check(question: &Question, rho_micro: Option<u64>) -> Result<(), Refusal> {
    if rho_micro.is_none() {
        return Ok(());
    }
    let parts = question.explain();
    let [part] = parts.as_slice() else {
        return Err(Refusal::new(
            RefusalCode::Request,
            "--noise",
            "The question asks each hospital several things at once, each of which would cost its part.",
            "Ask for each with a question of its own, without subqueries.",
        ));
    };
    let by_hospital = part.dimensions.iter().any(|name| name.ends_with(HOSPITAL));
    if question.scope() == Scope::PerHospital && by_hospital {
        return Ok(());
    }
    Err(Refusal::new(
        RefusalCode::Scope,
        "--noise",
        "Regional sums are exact; noise is drawn by each hospital for its own cells.",
        "Group by hospital_id, or ask without --noise.",
    ))
}

/// The rules of a noisy question, for people.
pub(crate) fn rules(rho_micro: u64) -> Vec<String> {
    let cost = share(rho_micro);
    vec![
        "each hospital decides by its own policy".to_owned(),
        format!(
            "noisy: each hospital draws noise for its own cells, once, and pays {cost} of its budget (zero-concentrated \
             differential privacy, rho) and of the asker's budget there; a repetition is answered from the \
             record, free"
        ),
        "of each person a hospital's policy says how many rows count, and up to which value"
            .to_owned(),
        "groups are told when their noisy number of rows is large enough; no other rule is needed"
            .to_owned(),
        "exact answers about the same patients are not covered by that budget".to_owned(),
    ]
}

impl Noised {
    pub(crate) fn new(requests: usize) -> Self {
        Self { spreads: vec![BTreeMap::new(); requests], statements: Vec::new() }
    }

    /// Takes in what `hospital` sent for one request.
    pub(crate) fn take(
        &mut self,
        hospital: &str,
        request: usize,
        received: &Received,
        measures: &[Measure],
    ) -> Result<(), Unlike> {
        let noise = received.noise.as_ref().ok_or(Unlike)?;
        // COUNT(*) is the group's own number of rows.
        let mut deviations = noise.deviations.clone();
        let mut offset = 0;
        for measure in measures {
            if *measure == Measure::Rows {
                *deviations.get_mut(offset).ok_or(Unlike)? = noise.rows_deviation;
            }
            offset += measure.width();
        }
        let spread = self.spreads.get_mut(request).ok_or(Unlike)?;
        for group in &received.groups {
            let variances = spread.entry(group.key.clone()).or_insert_with(|| vec![0.0; offset]);
            for (variance, deviation) in variances.iter_mut().zip(&deviations) {
                *variance += deviation * deviation;
            }
        }
        self.statements.push((hospital.to_owned(), noise.clone()));
        Ok(())
    }

    /// What the answer says about its noise.
    pub(crate) fn encode(&self) -> Vec<v1::HospitalNoise> {
        let each = self.statements.iter().map(|(hospital, noise)| v1::HospitalNoise {
            hospital: hospital.clone(),
            noise: Some(proto::encode_noise(noise)),
        });
        each.collect()
    }
}
