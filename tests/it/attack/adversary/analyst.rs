//! The analyst: what it asks, and what it makes of the answers.

use std::collections::BTreeMap;

use privacy::Claim;
use proto::{encode_claim, v1};
use query::pack::{Arguments, Pack};
use tests::{Answer, Region, put};

use super::super::SCHEME;
use super::world::{GROUPS, Known, los_band};

/// What one question with noise costs, in millionths of rho: a tenth of a year's budget.
const RHO: u64 = 5_000;
const MONTHS: usize = 12;

/// A way to learn a patient's cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attack {
    /// The sum over the patient alone.
    Alone,
    /// Groups by all that is known of the patient.
    Group,
    /// A sum with the patient, less the same without.
    Difference,
    /// All, less three sets that hold all but the patient.
    Union,
    /// The sum of a group of which the patient may have most.
    Share,
    /// The smallest and the largest cost of those who are like the patient.
    Percentiles,
    /// A difference with noise.
    Noise,
}

const ATTACKS: [Attack; 7] = [
    Attack::Alone,
    Attack::Group,
    Attack::Difference,
    Attack::Union,
    Attack::Share,
    Attack::Percentiles,
    Attack::Noise,
];

impl Attack {
    pub(super) fn of(round: usize) -> Self {
        ATTACKS[round % ATTACKS.len()]
    }
}

/// A sum that was told, of the hospital that is attacked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    stays: f64,
    pub(super) cost: f64,
}

/// Sums of one group over spans of months, `[from, until)`.
type Spans = BTreeMap<(usize, usize), Told>;

/// See the module.
pub(super) struct Analyst<'a> {
    region: &'a Region,
    asked: usize,
    /// Questions by how they ended.
    ended: BTreeMap<String, usize>,
    /// Of the hospital that is attacked, by group.
    spans: BTreeMap<&'static str, Spans>,
}

impl<'a> Analyst<'a> {
    pub(super) const fn of(region: &'a Region) -> Self {
        Self { region, asked: 0, ended: BTreeMap::new(), spans: BTreeMap::new() }
    }

    pub(super) const fn asked(&self) -> usize {
        self.asked
    }

    /// Questions that were answered.
    pub(super) fn heard(&self) -> usize {
        self.ended.get("answered").copied().unwrap_or_default()
    }

    pub(super) fn account(&self) -> String {
        format!("{} questions: {:?}", self.asked, self.ended)
    }

    async fn ask(&mut self, question: v1::Question) -> Option<Answer> {
        self.asked += 1;
        let outcome = put(self.region.client(), question).await;
        let ended = match &outcome {
            Ok(_) => "answered".to_owned(),
            Err(status) => service::status::refusal_of(status)
                .map_or_else(|| panic!("{status:?}"), |refusal| refusal.code.to_string()),
        };
        *self.ended.entry(ended).or_default() += 1;
        outcome.ok()
    }

    /// Rows of the hospital that is attacked.
    async fn rows(&mut self, sql: String, rho_micro: Option<u64>) -> Vec<Vec<String>> {
        let question = v1::Question { sql, rho_micro, ..v1::Question::default() };
        let rows = self.ask(question).await.map(|answer| answer.rows()).unwrap_or_default();
        rows.into_iter().filter(|row| row[0] == "h-1").collect()
    }

    /// Number and cost of those who meet a condition.
    pub(super) async fn sum(&mut self, condition: &str) -> Option<Told> {
        self.sum_with(condition, None).await
    }

    async fn sum_with(&mut self, condition: &str, rho_micro: Option<u64>) -> Option<Told> {
        let filter =
            if condition.is_empty() { String::new() } else { format!("WHERE {condition}") };
        let sql = format!(
            "SELECT hospital_id, count(*) AS n, sum(total_cost) AS cost FROM stay {filter} GROUP BY 1"
        );
        let rows = self.rows(sql, rho_micro).await;
        // With noise each number is followed by its deviation.
        let cost = if rho_micro.is_some() { 3 } else { 2 };
        let row = rows.first()?;
        Some(Told { stays: row[1].parse().ok()?, cost: row.get(cost)?.parse().ok()? })
    }

    /// One way to the cost of a patient.
    pub(super) async fn attack(&mut self, target: &Known, attack: Attack) -> Option<f64> {
        match attack {
            Attack::Alone => self.sum(&target.alone()).await.map(|told| told.cost / told.stays),
            Attack::Group => self.group(target).await,
            Attack::Difference => {
                let with = self.sum(&target.many()).await?;
                let without = self.sum(&target.all_but(&target.many())).await?;
                Some((with.cost - without.cost) / (with.stays - without.stays))
            }
            Attack::Union => self.union(target).await,
            Attack::Share => self.sum(&target.many()).await.map(|told| told.cost),
            Attack::Percentiles => {
                let sql = format!(
                    "SELECT hospital_id, approx_percentile_cont(total_cost, 0.01) AS least, \
                     approx_percentile_cont(total_cost, 0.99) AS most FROM stay WHERE {} GROUP BY 1",
                    target.conditions()[..2].join(" AND ")
                );
                let rows = self.rows(sql, None).await;
                rows.first()?.get(1)?.parse().ok()
            }
            Attack::Noise => {
                let with = self.sum_with(&target.many(), Some(RHO)).await?;
                let rest = target.all_but(&target.many());
                let without = self.sum_with(&rest, Some(RHO)).await?;
                Some(with.cost - without.cost)
            }
        }
    }

    /// How many more there are with the person than without, by the mean of answers with noise to questions that
    /// mean the same, as many as the budget lasts for; and the deviation of that mean.
    pub(super) async fn noisy_difference(&mut self, person: &Known, rho_micro: u64) -> (f64, f64) {
        let (mut sum, mut variance, mut pairs) = (0.0, 0.0, 0.0);
        for words in 0..49 {
            let mut heard = Vec::new();
            for condition in [person.many(), person.all_but(&person.many())] {
                let sql = format!(
                    "SELECT hospital_id, count(*) AS n FROM stay \
                     WHERE {condition} AND los_days < {} GROUP BY 1",
                    30 + words
                );
                let rows = self.rows(sql, Some(rho_micro)).await;
                let numbers =
                    rows.first().map(|row| (row[1].parse::<f64>(), row[2].parse::<f64>()));
                heard.extend(numbers.and_then(|(n, deviation)| n.ok().zip(deviation.ok())));
            }
            let [(with, one), (without, other)] = heard[..] else { break };
            sum += with - without;
            variance += one * one + other * other;
            pairs += 1.0;
        }
        (sum / pairs, variance.sqrt() / pairs)
    }

    async fn group(&mut self, target: &Known) -> Option<f64> {
        let sql = "SELECT hospital_id, drg_code, sex, los_band, age_band, \
                   date_trunc('month', discharged_at) AS month, sum(total_cost) AS cost \
                   FROM stay GROUP BY 1, 2, 3, 4, 5, 6";
        let rows = self.rows(sql.to_owned(), None).await;
        let like = [target.drg, target.sex, los_band(target.los_days)];
        let age = (target.age / 5 * 5).to_string();
        let month = format!("2024-{:02}-01", target.month);
        let is_it = |row: &&Vec<String>| {
            row[1..4] == like && row[4].starts_with(&age) && row[5].starts_with(&month)
        };
        rows.iter().find(is_it)?.get(6)?.parse().ok()
    }

    async fn union(&mut self, target: &Known) -> Option<f64> {
        let named = |groups: &[&str]| format!("drg_code IN ('{}')", groups.join("', '"));
        let others: Vec<&str> =
            GROUPS.iter().map(|group| group.0).filter(|group| *group != target.drg).collect();
        let (second, third) = others.split_at(others.len() / 2);
        let mut rest = self.sum("").await?.cost;
        for part in [target.all_but(&named(&[target.drg])), named(second), named(third)] {
            rest -= self.sum(&part).await?.cost;
        }
        Some(rest)
    }

    /// Asks all questions of shipped packs that name the hospital or the region, over all spans of months of the
    /// year, in their plain words and with conditions that change nothing.
    pub(super) async fn read_packs(&mut self) {
        let mut spans: Vec<(usize, usize)> = (1..=MONTHS)
            .flat_map(|from| (from + 1..=MONTHS + 1).map(move |until| (from, until)))
            .collect();
        // Wide spans first, so that narrow ones may follow from them.
        spans.sort_by_key(|(from, until)| from + MONTHS - until);
        let questions = [
            ("drg-cost", "hospitals"),
            ("payment", "volumes"),
            ("drg-cost", "groups"),
            ("payment", "standards"),
        ];
        for (pack, question) in questions {
            let has = |name: &str| {
                Pack::named(pack).unwrap().text().contains(&format!("name = \"{name}\""))
            };
            let plain = [None, Some(("scheme", SCHEME)), Some(("tier", "tertiary"))];
            let ways = plain.iter().filter(|more| more.is_none_or(|(name, _)| has(name)));
            let ways: Vec<_> = ways.collect();
            for (span, more) in
                spans.iter().flat_map(|span| ways.iter().map(move |way| (span, way)))
            {
                self.read_pack((pack, question), *span, more.as_ref()).await;
            }
        }
    }

    async fn read_pack(
        &mut self,
        (pack, question): (&str, &str),
        (from, until): (usize, usize),
        more: Option<&(&str, &str)>,
    ) {
        let pack = Pack::named(pack).unwrap();
        let mut arguments = Arguments::new();
        let period = format!("2024-{from:02}..2024-{:02}", until - 1);
        arguments.insert("period".to_owned(), period);
        arguments.extend(more.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())));
        let sql = pack.sql(question, &arguments).unwrap();
        let claim = Claim { pack: pack.hash(), question: question.to_owned(), arguments };
        let pack = Some(encode_claim(&claim));
        let answer = self.ask(v1::Question { sql, pack, ..v1::Question::default() }).await;
        for row in answer.map(|answer| answer.rows()).unwrap_or_default() {
            let Some(group) = GROUPS.iter().find(|group| row[1] == group.0) else { continue };
            let told = (row[2].parse::<f64>(), row[4].parse::<f64>());
            if let ("h-1", (Ok(stays), Ok(cost))) = (row[0].as_str(), told) {
                let told = Told { stays, cost };
                self.spans.entry(group.0).or_default().insert((from, until), told);
            }
        }
    }

    /// All sums of a group over spans that follow from those that were told, one from another.
    fn closed(&self, group: &str) -> Spans {
        let mut all = self.spans.get(group).cloned().unwrap_or_default();
        loop {
            let mut more = Spans::new();
            for ((a, b), one) in &all {
                for ((c, d), other) in &all {
                    let sign = |sign: f64| Told {
                        stays: one.stays + sign * other.stays,
                        cost: one.cost + sign * other.cost,
                    };
                    let found = [
                        (a == c && d < b).then(|| ((*d, *b), sign(-1.0))),
                        (b == d && a < c).then(|| ((*a, *c), sign(-1.0))),
                        (b == c).then(|| ((*a, *d), sign(1.0))),
                    ];
                    let is_new = |span: &(usize, usize)| !all.contains_key(span);
                    more.extend(found.into_iter().flatten().filter(|(span, _)| is_new(span)));
                }
            }
            if more.is_empty() {
                return all;
            }
            all.extend(more);
        }
    }

    /// The mean cost of the fewest stays of which it is known that the patient's is one.
    pub(super) fn smallest_cell(&self, target: &Known) -> Option<f64> {
        let month = usize::from(target.month);
        let all = self.closed(target.drg);
        let with = all.iter().filter(|((from, until), _)| (*from..*until).contains(&month));
        let told = with.map(|(_, told)| told).filter(|told| told.stays > 0.5);
        let fewest = told.min_by(|a, b| a.stays.total_cmp(&b.stays))?;
        Some(fewest.cost / fewest.stays)
    }

    /// Whether the person was a patient: when a question about the person ends otherwise than one about nobody, or
    /// when more were there in that month than in others.
    pub(super) async fn was_patient(&mut self, candidate: &Known) -> bool {
        let about = candidate.alone();
        let before = self.ended.clone();
        let heard = self.sum(&about).await.is_some();
        let is_usual = self
            .ended
            .iter()
            .all(|(ended, count)| ended == "waiting" || before.get(ended) == Some(count));
        if heard || !is_usual {
            return true;
        }
        let all = self.closed(candidate.drg);
        let month = usize::from(candidate.month);
        let Some(here) = all.get(&(month, month + 1)) else {
            // Too few to be told: less likely in this group and month.
            return false;
        };
        let others = (1..=MONTHS).filter(|other| *other != month);
        let others: Vec<f64> =
            others.filter_map(|other| Some(all.get(&(other, other + 1))?.stays)).collect();
        let expected = others.iter().sum::<f64>() / others.len().max(1) as f64;
        here.stays > expected
    }
}
