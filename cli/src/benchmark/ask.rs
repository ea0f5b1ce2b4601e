//! Asking the questions of the packs `drg-cost` and `alerts`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::casemix::drg_cost::{Cells, FeeCell, GroupCell, HospitalCell, Setting, TrimmedCell};
use model::casemix::explain::HospitalFee;
use model::casemix::parameters::Parameters;
use model::casemix::trim::{Method, Reference, bounds, outward};
use num_traits::ToPrimitive as _;
use query::pack::{Arguments, Bound, bounds_argument};

use super::args::Selection;
use crate::answer::Answer;
use crate::client::Client;
use crate::columns::{Columns, Row};
use crate::exit::Failure;
use crate::told::{Told, pack};

/// The pack of the benchmark.
pub const DRG_COST: &str = "drg-cost";
/// The pack of what deviations are made of.
pub const ALERTS: &str = "alerts";
/// Columns that are read of each question's answer.
const GROUPS: &[&str] = &[
    "drg_code",
    "stays",
    "hospitals",
    "costed",
    "cost",
    "sd",
    "mean_log",
    "sd_log",
    "p2_5",
    "p10",
    "e10",
    "p25",
    "e25",
    "p50",
    "e50",
    "p75",
    "e75",
    "p90",
    "e90",
    "p97_5",
    "los_mean",
    "los_sd",
    "los_mean_log",
    "los_median",
    "los_error",
    "death_rate",
];
const HOSPITALS: &[&str] = &["hospital_id", "drg_code", "stays", "costed", "cost", "los_mean"];
const COMPOSITION: &[&str] = &["drg_code", "class", "amount"];
const TRIMMED: &[&str] = &["drg_code", "kept", "cost", "sd"];
const FEES: &[&str] = &["hospital_id", "drg_code", "class", "amount"];
/// Groups whose bounds stand in one question: each takes three of a policy's 500 literals.
const TRIMMED_AT_ONCE: usize = 100;
/// Bounds of trimming are multiples of this many units of currency, as conditions must be under the
/// default policy.
const BOUND_STEP: i64 = 100;

/// Everything that was asked for a benchmark.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Released cells.
    pub cells: Cells,
    /// What is public about the region.
    pub setting: Setting,
    /// Grouper name@version.
    pub scheme: String,
    /// The questions.
    pub told: Vec<Told>,
}

/// A way to ask: client, selection, deadline.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// The region.
    pub client: &'a Client,
    /// What is compared.
    pub selection: &'a Selection,
}

impl Asking<'_> {
    fn deadline(&self) -> Option<Duration> {
        self.selection.deadline
    }

    /// Arguments of `pack` for what is compared.
    fn arguments(&self, pack: &str) -> Arguments {
        let selection = self.selection;
        let mut arguments = Arguments::new();
        let mut give = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                arguments.insert(name.to_owned(), value);
            }
        };
        give("period", selection.period.as_ref().map(ToString::to_string));
        give("tier", selection.tier.clone());
        give("scheme", selection.scheme.clone());
        if pack == DRG_COST {
            give("measure", Some(selection.cost.column().to_owned()));
        }
        arguments
    }

    async fn ask(&self, name: &str, question: &str, more: Arguments) -> Result<Answer, Failure> {
        let mut arguments = self.arguments(name);
        arguments.extend(more);
        let asked =
            self.client.ask_pack(pack(name)?, question, &arguments, self.deadline(), |_| ());
        // The future holds a stream and its buffers.
        Box::pin(asked).await
    }

    /// Asks for groups, hospitals and, where there are fees, composition at once, and then for trimmed groups.
    ///
    /// # Errors
    /// What the client meets; nothing is shown of a benchmark that is not whole.
    pub async fn benchmark(&self, trim: Method, rules: &Parameters) -> Result<Asked, Failure> {
        let none = Arguments::new;
        // First of all, so that the coordinator knows which snapshots are in force.
        let region = self.client.hospitals().await?;
        // A round about fees that nobody has tells nothing. Who has not been heard of may have some.
        let may_have = |one: &proto::v1::Hospital| one.fees.is_some() || one.snapshot_id.is_empty();
        let has_fees = region.hospitals.iter().any(may_have);
        let composition = async {
            match has_fees {
                true => self.ask(DRG_COST, "composition", none()).await.map(Some),
                false => Ok(None),
            }
        };
        let (mut setting, scheme) = self.setting(region.hospitals)?;
        let (names, groups, hospitals, composition) = tokio::try_join!(
            self.client.code_names("stay.drg_code"),
            self.ask(DRG_COST, "groups", none()),
            self.ask(DRG_COST, "hospitals", none()),
            composition,
        )?;
        setting.names = names.into_iter().map(|one| (one.code, (one.en, one.zh))).collect();
        let groups_read = Columns::of(&groups, GROUPS)?;
        let fees =
            composition.as_ref().map(|answer| Columns::of(answer, COMPOSITION)).transpose()?;
        let mut cells = Cells {
            groups: groups_read.rows().filter_map(|row| group(&row)).collect(),
            hospitals: Columns::of(&hospitals, HOSPITALS)?
                .rows()
                .filter_map(|row| hospital(&row))
                .collect(),
            fees: fees.iter().flat_map(Columns::rows).filter_map(|row| fee(&row)).collect(),
            trimmed: Vec::new(),
        };
        if cells.groups.is_empty() {
            return Err(Failure::Data(
                "no regional group was released: there are no such stays, or too few of them, or \
                 fewer hospitals than the three that a regional group needs"
                    .to_owned(),
            ));
        }
        let told = |question: &str, answer: Answer| Told {
            question: format!("{DRG_COST}/{question}"),
            release: answer.release,
        };
        let mut all = vec![told("groups", groups), told("hospitals", hospitals)];
        all.extend(composition.map(|answer| told("composition", answer)));
        let keep = keep(&groups_read, trim, rules);
        for batch in keep.chunks(TRIMMED_AT_ONCE) {
            let argument = [("keep".to_owned(), bounds_argument(batch))].into();
            let answer = self.ask(DRG_COST, "trimmed", argument).await?;
            let asked: BTreeSet<_> = batch.iter().flat_map(|bound| &bound.codes).collect();
            let rows = Columns::of(&answer, TRIMMED)?;
            let read = rows.rows().filter_map(|row| trimmed(&row));
            let fits = |cell: &TrimmedCell| keeps_enough(cell, &cells.groups, trim, rules);
            let read = read.filter(|cell| asked.contains(&cell.code) && fits(cell));
            let read: Vec<_> = read.collect();
            cells.trimmed.extend(read);
            all.push(told("trimmed", answer));
        }
        Ok(Asked { cells, setting, scheme, told: all })
    }

    /// Asks for fees by hospital, group and class.
    ///
    /// # Errors
    /// What the client meets.
    pub async fn fees(&self) -> Result<(Vec<HospitalFee>, Told), Failure> {
        let answer = self.ask(ALERTS, "fees", Arguments::new()).await?;
        let columns = Columns::of(&answer, FEES)?;
        let fees = columns.rows().filter_map(|row| {
            Some(HospitalFee {
                hospital: row.text("hospital_id")?,
                code: row.text("drg_code")?,
                class: row.text("class")?,
                amount_e4: row.e4("amount"),
            })
        });
        let fees = fees.collect();
        Ok((fees, Told { question: format!("{ALERTS}/fees"), release: answer.release }))
    }

    /// Tiers of the hospitals that were asked, and their grouper scheme.
    ///
    /// # Errors
    /// [`Failure::Data`] when no hospital is of the chosen tier, or has groups of the chosen scheme.
    fn setting(&self, hospitals: Vec<proto::v1::Hospital>) -> Result<(Setting, String), Failure> {
        let Selection { tier, scheme, .. } = self.selection;
        let tiers: BTreeSet<_> = hospitals.iter().map(|one| one.tier.clone()).collect();
        if let Some(tier) = tier.as_ref().filter(|tier| !tiers.contains(*tier)) {
            return Err(nobody("tier", tier, &tiers));
        }
        let chosen = |one: &proto::v1::Hospital| tier.as_ref().is_none_or(|tier| *tier == one.tier);
        let chosen: Vec<_> = hospitals.into_iter().filter(chosen).collect();
        let schemes = chosen.iter().flat_map(|one| one.drg_schemes.iter().cloned());
        let schemes: BTreeSet<_> = schemes.collect();
        if let Some(scheme) = scheme.as_ref().filter(|scheme| !schemes.contains(*scheme)) {
            return Err(nobody("grouper scheme", scheme, &schemes));
        }
        let tiers = chosen.into_iter().map(|one| (one.id, one.tier)).collect();
        // Several schemes without a choice among them were refused by the coordinator.
        let scheme = scheme.clone().or_else(|| schemes.into_iter().next()).unwrap_or_default();
        Ok((Setting { tiers, names: BTreeMap::new() }, scheme))
    }
}

fn nobody(what: &str, wanted: &str, known: &BTreeSet<String>) -> Failure {
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    let known = known.join(", ");
    Failure::Data(format!(
        "no hospital of the region has the {what} \"{wanted}\"; there are: {known}"
    ))
}

/// The bounds between which stays are kept, for every group that has some.
fn keep(groups: &Columns, trim: Method, rules: &Parameters) -> Vec<Bound> {
    let each = groups.rows().filter_map(|row| {
        let wanted = bounds(trim, &reference(&row)?, &rules.trim)?;
        let (low, high) = outward(wanted, BOUND_STEP);
        // The condition leaves its upper end out; the rule keeps it.
        let high = if is_below(high, wanted.1) { high } else { high.saturating_add(BOUND_STEP) };
        Some(Bound { codes: vec![row.text("drg_code")?], low: Some(low), high: Some(high) })
    });
    each.collect()
}

/// A quantile method that would leave out too large a share leaves out nothing (F5).
fn keeps_enough(
    cell: &TrimmedCell,
    groups: &[GroupCell],
    trim: Method,
    rules: &Parameters,
) -> bool {
    let group = groups.iter().find(|group| group.code.as_deref() == Some(&cell.code));
    let Some(costed) = group.and_then(|group| group.costed) else { return false };
    let kept = cell.kept.to_f64().zip(costed.to_f64()).map(|(kept, all)| kept / all);
    trim != Method::Quantile
        || kept.is_some_and(|kept| 1.0 - kept <= rules.trim.quantile.largest_share)
}

/// Whether `bound`, moved outward, lies beyond what was wanted.
fn is_below(bound: i64, wanted: f64) -> bool {
    bound.to_f64().is_some_and(|bound| wanted < bound)
}

fn reference(row: &Row<'_>) -> Option<Reference> {
    let number = |name| row.number(name);
    Some(Reference {
        mean: group(row)?.mean(),
        mean_log: number("mean_log"),
        sd_log: number("sd_log"),
        percentiles: (number("p2_5"), number("p25"), number("p75"), number("p97_5")),
        stays: row.count("costed")?,
    })
}

fn group(row: &Row<'_>) -> Option<GroupCell> {
    Some(GroupCell {
        code: row.text("drg_code"),
        stays: row.count("stays")?,
        hospitals: row.count("hospitals")?,
        costed: row.count("costed"),
        cost_e4: row.e4("cost"),
        sd: row.number("sd"),
        mean_log: row.number("mean_log"),
        percentiles: [
            ("p10", "e10"),
            ("p25", "e25"),
            ("p50", "e50"),
            ("p75", "e75"),
            ("p90", "e90"),
        ]
        .map(|(value, error)| row.bounded(value, error)),
        los_mean: row.number("los_mean"),
        los_sd: row.number("los_sd"),
        los_mean_log: row.number("los_mean_log"),
        los_median: row.bounded("los_median", "los_error"),
        death_rate: row.number("death_rate"),
    })
}

fn hospital(row: &Row<'_>) -> Option<HospitalCell> {
    Some(HospitalCell {
        hospital: row.text("hospital_id")?,
        code: row.text("drg_code"),
        stays: row.count("stays")?,
        costed: row.count("costed"),
        cost_e4: row.e4("cost"),
        los_mean: row.number("los_mean"),
    })
}

fn fee(row: &Row<'_>) -> Option<FeeCell> {
    let (code, class) = (row.text("drg_code")?, row.text("class")?);
    Some(FeeCell { code, class, amount_e4: row.e4("amount") })
}

fn trimmed(row: &Row<'_>) -> Option<TrimmedCell> {
    Some(TrimmedCell {
        code: row.text("drg_code")?,
        kept: row.count("kept")?,
        cost_e4: row.e4("cost")?,
        sd: row.number("sd"),
    })
}
