//! Admission: the hospital's policy says yes or no to a request, before any row is read.

use model::{Refusal, RefusalCode};

use crate::policy::{LARGEST_MINIMUM, Policy};
use crate::request::ReleaseRequest;

/// The numbers a release must reach; always set, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Distinct persons per cell.
    pub persons: u32,
    /// Stays per cell.
    pub stays: u32,
    /// Distinct persons of a filtered or joined set.
    pub selectivity: u32,
}

impl Thresholds {
    /// How many distinct persons the node must be able to tell apart in one group.
    #[must_use]
    pub const fn persons_cap(self) -> u32 {
        if self.persons > self.stays { self.persons } else { self.stays }
    }
}

/// A request that this hospital's policy admits. Only [`admit`] makes one.
#[derive(Debug, Clone)]
pub struct Admitted {
    request: ReleaseRequest,
    thresholds: Thresholds,
}

impl Admitted {
    /// The request.
    #[must_use]
    pub const fn request(&self) -> &ReleaseRequest {
        &self.request
    }

    /// What its cells must reach.
    #[must_use]
    pub const fn thresholds(&self) -> Thresholds {
        self.thresholds
    }
}

/// Admits `request` under the hospital's own `policy`; `asked_today` counts this asker's earlier
/// requests of the day.
///
/// # Errors
/// A [`Refusal`] with code `policy_unset`, `scope` or `usage`.
pub fn admit(
    request: ReleaseRequest,
    policy: &Policy,
    asked_today: u64,
) -> Result<Admitted, Refusal> {
    let in_range = |value: &u32| (1..=LARGEST_MINIMUM).contains(value);
    let minima = policy.minimum.persons.filter(in_range).zip(policy.minimum.stays.filter(in_range));
    let Some((persons, stays)) = minima.filter(|_| in_range(&policy.selectivity.persons)) else {
        return Err(Refusal::new(
            RefusalCode::PolicyUnset,
            "minimum",
            "The hospital has not set its minimum cell, so its node is closed.",
            "Its steward sets minimum.persons and minimum.stays in the policy file.",
        ));
    };
    if !policy.allows_scope(request.scope()) {
        let scope = request.scope().as_str();
        return Err(Refusal::new(
            RefusalCode::Scope,
            scope,
            format!("The hospital's policy does not answer {scope} questions."),
            "Ask without naming hospitals, or ask the hospital's steward.",
        ));
    }
    let allowed = policy.usage.requests_per_day;
    if asked_today >= allowed {
        return Err(Refusal::new(
            RefusalCode::Usage,
            request.asker(),
            format!("The allowance of {allowed} requests a day is used up."),
            "It renews at midnight UTC.",
        ));
    }
    let thresholds = Thresholds { persons, stays, selectivity: policy.selectivity.persons };
    Ok(Admitted { request, thresholds })
}
