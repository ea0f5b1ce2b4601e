//! Asking the questions of the pack `payment`.

use std::collections::BTreeMap;

use model::Period;
use model::casemix::money::E4;
use model::casemix::parameters::{DeviationRules, Parameters};
use model::manifest::ListRecord;
use num_traits::ToPrimitive as _;
use query::pack::{Arguments, Bound, bounds_argument};

use super::args::{Method, SimulateArgs};
use super::reference;
use crate::client::Client;
use crate::columns::{Columns, Row};
use crate::exit::Failure;
use crate::told::{Told, pack};

const PAYMENT: &str = "payment";
/// Its questions, and the columns that are read of each beside the group.
const VOLUMES: &str = "volumes";
const STANDARDS: &str = "standards";
const DEVIATIONS: &str = "deviations";
const CELL_COLUMNS: &[&str] = &["stays", "costed", "cost"];
const HOSPITAL_COLUMNS: &[&str] = &["hospital_id", "stays", "costed", "cost"];
const DEVIATION_COLUMNS: &[&str] =
    &["hospital_id", "low_stays", "low_cost", "high_stays", "high_cost", "review_stays"];
/// Groups of a tier whose bounds stand in one question: each takes fifteen of a policy's 500
/// literals.
const BOUNDS_AT_ONCE: usize = 30;
/// Bounds are multiples of this many units of currency, as conditions must be under the default
/// policy.
pub(super) const BOUND_STEP: i64 = 100;
/// A bound below so many steps would be moved too far by rounding it to one.
const LEAST_STEPS: f64 = 10.0;

/// Stays and cost of a group, of one hospital or of the region.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    /// Empty for the region.
    pub(super) hospital: String,
    pub(super) group: String,
    pub(super) stays: u64,
    pub(super) costed: u64,
    pub(super) cost_e4: Option<E4>,
}

/// Cases of one cell that deviate; what is withheld is `None`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Deviating {
    pub(super) low: Option<(u64, E4)>,
    pub(super) high: Option<(u64, E4)>,
    pub(super) review: Option<u64>,
    /// Mean that they deviate from, in currency units.
    pub(super) reference: f64,
}

/// Everything that was asked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) volumes: Vec<Cell>,
    pub(super) standards: Vec<Cell>,
    /// Costed stays and their cost, by tier and group.
    pub(super) references: BTreeMap<(String, String), (u64, E4)>,
    pub(super) tiers: BTreeMap<String, String>,
    pub(super) told: Vec<Told>,
    /// Cases that deviate, and the rules under which they were asked for.
    deviating: Option<(DeviationRules, Deviations)>,
}

/// Cases that deviate, by hospital and group.
pub(super) type Deviations = BTreeMap<(String, String), Deviating>;

/// A way to ask.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) client: &'a Client,
    pub(super) args: &'a SimulateArgs,
    /// The DIP list whose scores are used.
    pub(super) list: Option<&'a ListRecord>,
}

impl Asking<'_> {
    async fn ask(
        &self,
        question: &str,
        period: Option<&Period>,
        more: Arguments,
    ) -> Result<(Columns, Told), Failure> {
        let args = self.args;
        let mut arguments: Arguments = [
            ("measure".to_owned(), args.cost.column().to_owned()),
            ("group".to_owned(), args.method.group().to_owned()),
        ]
        .into();
        arguments.extend(period.map(|period| ("period".to_owned(), period.to_string())));
        arguments.extend(args.scheme.clone().map(|scheme| ("scheme".to_owned(), scheme)));
        arguments.extend(more);
        let (pack, deadline) = (pack(PAYMENT)?, args.deadline);
        let asked = self.client.ask_pack(pack, question, &arguments, deadline, |_| ());
        // The future holds a stream and its buffers.
        let answer = Box::pin(asked).await?;
        let mut needed = vec![args.method.group()];
        needed.extend(match question {
            VOLUMES => HOSPITAL_COLUMNS,
            STANDARDS => CELL_COLUMNS,
            _ => DEVIATION_COLUMNS,
        });
        let columns = Columns::of(&answer, &needed)?;
        Ok((columns, Told { question: format!("{PAYMENT}/{question}"), release: answer.release }))
    }

    /// Volumes, standards and references.
    pub(super) async fn all(&self) -> Result<Asked, Failure> {
        let period = self.args.period.as_ref();
        // First of all, so that the coordinator knows which snapshots are in force.
        let region = self.client.hospitals().await?;
        self.check_lists(&region.hospitals)?;
        let tiers: BTreeMap<_, _> =
            region.hospitals.into_iter().map(|one| (one.id, one.tier)).collect();
        let (volumes, standards) = tokio::try_join!(
            self.ask(VOLUMES, period, Arguments::new()),
            self.ask(STANDARDS, period, Arguments::new()),
        )?;
        let group = self.args.method.group();
        let cells = |columns: &Columns| -> Vec<Cell> {
            columns.rows().filter_map(|row| cell(&row, group)).collect()
        };
        let mut asked = Asked {
            volumes: cells(&volumes.0),
            standards: cells(&standards.0),
            references: BTreeMap::new(),
            tiers,
            told: vec![volumes.1, standards.1],
            deviating: None,
        };
        asked.references = match self.args.reference_period.as_ref() {
            None => references(&asked.volumes, &asked.tiers),
            Some(earlier) => {
                let (rows, told) = self.ask(VOLUMES, Some(earlier), Arguments::new()).await?;
                asked.told.push(told);
                let earlier_cells = cells(&rows);
                if earlier_cells.is_empty() {
                    let reason = format!("no hospital released stays of {earlier} by {group}");
                    return Err(Failure::Data(reason));
                }
                references(&earlier_cells, &asked.tiers)
            }
        };
        if asked.volumes.is_empty() {
            let hint = match self.args.method {
                Method::DipPoints => {
                    "; nodes code dip_code with `consilium-node ingest --dip-list`"
                }
                Method::DrgRate | Method::DrgPoints => "",
            };
            return Err(Failure::Data(format!("no hospital released stays by {group}{hint}")));
        }
        Ok(asked)
    }

    /// Hospitals' stays are coded by the list whose scores are used.
    fn check_lists(&self, hospitals: &[proto::v1::Hospital]) -> Result<(), Failure> {
        let Some((path, record)) = self.args.catalogue.as_ref().zip(self.list) else {
            return Ok(());
        };
        let wanted = format!("{}@{}#{}", record.name, record.version, record.hash);
        let mut coded = hospitals.iter().filter(|one| !one.dip_list.is_empty());
        match coded.find(|one| one.dip_list != wanted) {
            None => Ok(()),
            Some(other) => Err(Failure::Data(format!(
                "{}: hospital {} codes its stays by the list {}, not by this one ({wanted}); use \
                 that list, or let hospitals ingest with this one (--dip-list)",
                path.display(),
                other.id,
                other.dip_list
            ))),
        }
    }

    /// The cases that deviate under `rules`, for every released cell whose group has a reference.
    pub(super) async fn deviations(
        &self,
        asked: &mut Asked,
        rules: &Parameters,
    ) -> Result<Deviations, Failure> {
        if let Some((known, found)) = &asked.deviating
            && *known == rules.deviation
        {
            return Ok(found.clone());
        }
        let mut wanted: Vec<(String, String, f64)> = Vec::new();
        for (tier, group) in asked.references.keys() {
            let mean = reference(asked, tier, group);
            if let Some(mean) = mean.filter(|mean| is_fine_enough(mean * rules.deviation.low)) {
                wanted.push((tier.clone(), group.clone(), mean));
            }
        }
        let mut found = Deviations::new();
        for batch in wanted.chunks(BOUNDS_AT_ONCE) {
            let rule = &rules.deviation;
            let low = |mean: f64| (None, grid(mean * rule.low));
            let high = |mean: f64| (grid(mean * rule.high), None);
            let review = |mean: f64| (grid(mean * rule.review), None);
            let more = [
                ("low".to_owned(), bounds(batch, low)),
                ("high".to_owned(), bounds(batch, high)),
                ("review".to_owned(), bounds(batch, review)),
            ];
            let (rows, told) = self.ask(DEVIATIONS, self.args.period.as_ref(), more.into()).await?;
            asked.told.push(told);
            let group_column = self.args.method.group();
            for row in rows.rows() {
                let (Some(hospital), Some(group)) =
                    (row.text("hospital_id"), row.text(group_column))
                else {
                    continue;
                };
                let tier = asked.tiers.get(&hospital);
                let mean = batch.iter().find(|one| Some(&one.0) == tier && one.1 == group);
                if let Some((_, _, mean)) = mean {
                    found.insert((hospital, group), deviating(&row, *mean));
                }
            }
        }
        asked.deviating = Some((rules.deviation.clone(), found.clone()));
        Ok(found)
    }
}

fn steps(bound: f64) -> f64 {
    bound / BOUND_STEP.to_f64().unwrap_or(f64::NAN)
}

/// Rounding a bound to the grid moves it by five parts in a hundred at most.
fn is_fine_enough(bound: f64) -> bool {
    steps(bound) >= LEAST_STEPS
}

/// The nearest multiple of the grid that conditions may use.
fn grid(bound: f64) -> Option<i64> {
    steps(bound).round().to_i64().map(|steps| steps * BOUND_STEP)
}

/// Costed stays and their cost by tier and group, over what hospitals released.
fn references(
    cells: &[Cell],
    tiers: &BTreeMap<String, String>,
) -> BTreeMap<(String, String), (u64, E4)> {
    let mut sums: BTreeMap<_, (u64, E4)> = BTreeMap::new();
    for cell in cells {
        if let (Some(tier), Some(cost_e4)) = (tiers.get(&cell.hospital), cell.cost_e4) {
            let sum = sums.entry((tier.clone(), cell.group.clone())).or_default();
            sum.0 += cell.costed;
            sum.1 += cost_e4;
        }
    }
    sums
}

fn bounds(
    batch: &[(String, String, f64)],
    of: impl Fn(f64) -> (Option<i64>, Option<i64>),
) -> String {
    let each = batch.iter().map(|(tier, group, mean)| {
        let (low, high) = of(*mean);
        Bound { codes: vec![tier.clone(), group.clone()], low, high }
    });
    bounds_argument(&each.collect::<Vec<_>>())
}

fn deviating(row: &Row<'_>, reference: f64) -> Deviating {
    // A count of none has no sum; a sum that is withheld has a count.
    let pair = |stays: &str, cost: &str| {
        let stays = row.count(stays)?;
        if stays == 0 { Some((0, 0)) } else { Some((stays, row.e4(cost)?)) }
    };
    Deviating {
        low: pair("low_stays", "low_cost"),
        high: pair("high_stays", "high_cost"),
        review: row.count("review_stays"),
        reference,
    }
}

fn cell(row: &Row<'_>, group: &str) -> Option<Cell> {
    Some(Cell {
        hospital: row.text("hospital_id").unwrap_or_default(),
        group: row.text(group).filter(|group| group != "OTHER")?,
        stays: row.count("stays")?,
        costed: row.count("costed").unwrap_or(0),
        cost_e4: row.e4("cost"),
    })
}
