//! The regional DRG cost benchmark: two questions merged into one table.

use std::collections::BTreeMap;
use std::fmt::Display;

use num_traits::ToPrimitive as _;

use super::plan::Plan;
use super::{Loaded, Prepared, REGION};
use crate::answer::{Answer, Cell};
use crate::client::Client;
use crate::console::Console;
use crate::exit::Failure;
use crate::message::{Lang, Message};
use crate::sheet::{Align, Sheet, grouped};
use crate::synth::drg_names;

/// The benchmark of the region.
pub const BENCHMARK_SQL: &str = "SELECT drg_code, count(*) AS stays, \
    count(DISTINCT hospital_id) AS hospitals, avg(total_cost) AS mean_cost, \
    stddev(total_cost) AS sd_cost, avg(los_days) AS mean_los \
    FROM stay GROUP BY drg_code ORDER BY stays DESC";
/// The same by hospital, for those furthest from the region's mean.
pub const BY_HOSPITAL_SQL: &str = "SELECT hospital_id, drg_code, count(*) AS stays, \
    avg(total_cost) AS mean_cost FROM stay GROUP BY hospital_id, drg_code";

const SIMPLE_SQL: &str = "SELECT drg_code, count(*) AS stays, avg(total_cost) AS mean_cost \
    FROM stay GROUP BY drg_code ORDER BY stays DESC LIMIT 10";
/// One hospital spends more on consumables than all others.
const CONSUMABLES_SQL: &str = "SELECT s.hospital_id, \
    sum(CASE WHEN f.class = 'consumable' THEN f.amount ELSE 0 END) / sum(f.amount) AS consumables \
    FROM stay s JOIN fee f ON f.stay_key = s.stay_key WHERE s.drg_code = 'GD19' \
    GROUP BY s.hospital_id ORDER BY consumables DESC";

/// Groups shown.
const GROUPS_SHOWN: usize = 25;
/// Characters of a name, by language; a Chinese character is two columns wide.
const NAME_CHARS: (usize, usize) = (32, 17);

/// The two answers.
#[derive(Debug)]
pub struct Benchmark {
    /// The region's.
    pub pooled: Answer,
    /// The hospitals'.
    pub by_hospital: Answer,
}

/// Complications and comorbidities as DRG tables write them.
const SHORT: [(&str, &str); 3] = [
    ("without complications", "w/o CC"),
    ("with major complications", "w MCC"),
    ("with complications", "w CC"),
];

/// One DRG in the region.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    code: String,
    stays: u64,
    hospitals: u64,
    mean: Option<f64>,
    sd: Option<f64>,
    los: Option<f64>,
    above: Option<(String, f64)>,
    below: Option<(String, f64)>,
}

/// What may be tried on a region that serves.
#[must_use]
pub fn suggestions(plan: &Plan) -> Vec<&'static str> {
    if plan.is_synthetic() { vec![SIMPLE_SQL, CONSUMABLES_SQL] } else { vec![SIMPLE_SQL] }
}

/// Asks both questions.
///
/// # Errors
/// What the client meets.
pub async fn ask(client: &Client) -> Result<Benchmark, Failure> {
    let pooled = client.ask(BENCHMARK_SQL, None, |_| ()).await?;
    let by_hospital = client.ask(BY_HOSPITAL_SQL, None, |_| ()).await?;
    Ok(Benchmark { pooled, by_hospital })
}

impl Benchmark {
    /// The table, and in a few lines what left the hospitals and what did not.
    #[must_use]
    pub fn render(&self, prepared: &Prepared, console: Console) -> String {
        let groups = groups(&self.pooled, &self.by_hospital);
        let stays: u64 = groups.iter().map(|group| group.stays).sum();
        let hospitals = self.pooled.release.hospitals.answered;
        let mut text = console
            .text(Message::BenchmarkTitle, &[&REGION, &groups.len(), &grouped(stays), &hospitals]);
        text.push('\n');
        text.push_str(&table(&groups, prepared.plan.is_synthetic(), console.lang()));
        text.push('\n');
        let more = groups.len().saturating_sub(GROUPS_SHOWN);
        if more > 0 {
            text.push_str(&console.text(Message::MoreGroups, &[&more]));
            text.push('\n');
        }
        for line in self.footer(prepared, console) {
            text.push('\n');
            text.push_str(&line);
        }
        text.push('\n');
        text
    }

    fn footer(&self, prepared: &Prepared, console: Console) -> [String; 3] {
        let (pooled, single) = (&self.pooled.release, &self.by_hospital.release);
        let bytes = pooled.bytes_received + single.bytes_received;
        let rows: u64 = prepared.hospitals.iter().map(Loaded::rows).sum();
        let stays: u64 = prepared.hospitals.iter().map(|h| h.manifest.stays()).sum();
        let (regional, own) = (grouped(pooled.cells.released), grouped(single.cells.released));
        let left: [&dyn Display; 5] =
            [&regional, &own, &grouped(bytes), &grouped(rows), &grouped(stays)];
        let (groups, cells) = (grouped(pooled.cells.withheld), grouped(single.cells.withheld));
        let kept: [&dyn Display; 4] =
            [&groups, &cells, &pooled.coverage(console), &single.coverage(console)];
        [
            console.text(Message::LeftHospitals, &left),
            console.text(Message::Withheld, &kept),
            console.text(Message::MaskedNote, &[]),
        ]
    }
}

/// The rows of an answer as (cells by position).
fn rows(answer: &Answer, mut take: impl FnMut(&[Cell<'_>])) {
    // A column that cannot be shown is met when the answer itself is written.
    for block in answer.blocks().flatten() {
        for row in 0..block.rows() {
            take(&block.row(row).collect::<Vec<_>>());
        }
    }
}

fn groups(pooled: &Answer, by_hospital: &Answer) -> Vec<Group> {
    let mut means: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
    rows(by_hospital, |row| {
        if let [Cell::Text(hospital), Cell::Text(code), _, mean] = row
            && let Some(mean) = mean.number()
        {
            means.entry((*code).to_owned()).or_default().push(((*hospital).to_owned(), mean));
        }
    });
    let mut groups = Vec::new();
    rows(pooled, |row| {
        let [code, stays, hospitals, mean, sd, los] = row else { return };
        let code = if let Cell::Text(code) = code { (*code).to_owned() } else { "-".to_owned() };
        let mean = mean.number();
        let hospital_means = means.get(&code).map_or(&[] as &[_], Vec::as_slice);
        let (above, below) = furthest(hospital_means, mean);
        groups.push(Group {
            code,
            stays: whole(*stays),
            hospitals: whole(*hospitals),
            mean,
            sd: sd.number(),
            los: los.number(),
            above,
            below,
        });
    });
    groups
}

fn whole(cell: Cell<'_>) -> u64 {
    cell.number().and_then(|value| value.round().to_u64()).unwrap_or(0)
}

type Deviation = Option<(String, f64)>;

/// The hospitals furthest above and below the region's mean, with their relative distance.
fn furthest(hospitals: &[(String, f64)], mean: Option<f64>) -> (Deviation, Deviation) {
    let Some(mean) = mean.filter(|mean| *mean > 0.0) else { return (None, None) };
    let relative = || hospitals.iter().map(|(hospital, own)| (hospital.clone(), own / mean - 1.0));
    let above = relative().filter(|(_, by)| *by > 0.0).max_by(|a, b| a.1.total_cmp(&b.1));
    let below = relative().filter(|(_, by)| *by < 0.0).min_by(|a, b| a.1.total_cmp(&b.1));
    (above, below)
}

fn table(groups: &[Group], named: bool, lang: Lang) -> String {
    let mut headings = vec![(Message::DrgGroup, Align::Left)];
    if named {
        headings.push((Message::DrgName, Align::Left));
    }
    headings.extend([
        (Message::Stays, Align::Right),
        (Message::Hospitals, Align::Right),
        (Message::MeanCost, Align::Right),
        (Message::SdCost, Align::Right),
        (Message::MeanLos, Align::Right),
        (Message::Above, Align::Right),
        (Message::Below, Align::Right),
    ]);
    let mut sheet = Sheet::new(headings.into_iter().map(|(m, align)| (m.text(lang), align)));
    for group in groups.iter().take(GROUPS_SHOWN) {
        let mut cells = vec![group.code.clone()];
        if named {
            cells.push(name(&group.code, lang));
        }
        cells.extend([
            grouped(group.stays),
            group.hospitals.to_string(),
            money(group.mean),
            money(group.sd),
            group.los.map(|days| format!("{days:.1}")).unwrap_or_default(),
            deviation(group.above.as_ref()),
            deviation(group.below.as_ref()),
        ]);
        sheet.row(cells);
    }
    sheet.render()
}

fn name(code: &str, lang: Lang) -> String {
    let names = drg_names().iter().find(|(known, _, _)| known == code);
    let (name, most) = match (names, lang) {
        (None, _) => return String::new(),
        (Some((_, english, _)), Lang::En) => (english, NAME_CHARS.0),
        (Some((_, _, chinese)), Lang::Zh) => (chinese, NAME_CHARS.1),
    };
    let name = SHORT.iter().fold(name.clone(), |name, (long, short)| name.replace(long, short));
    if name.chars().count() <= most {
        return name;
    }
    let cut: String = name.chars().take(most - 1).collect();
    format!("{}…", cut.trim_end())
}

fn money(value: Option<f64>) -> String {
    value.and_then(|value| value.round().to_u64()).map(grouped).unwrap_or_default()
}

fn deviation(deviation: Option<&(String, f64)>) -> String {
    deviation
        .map_or_else(|| "-".to_owned(), |(hospital, by)| format!("{hospital} {:+.0} %", by * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_furthest_hospitals_are_relative_to_the_regions_mean() {
        let own = [("a", 90.0), ("b", 131.0), ("c", 120.0)].map(|(id, mean)| (id.to_owned(), mean));
        let (above, below) = furthest(&own, Some(100.0));
        assert_eq!(deviation(above.as_ref()), "b +31 %");
        assert_eq!(deviation(below.as_ref()), "a -10 %");
        assert_eq!(furthest(&own[1..2], Some(131.0)), (None, None));
        assert_eq!(furthest(&own, None), (None, None));
        assert_eq!(deviation(None), "-");
    }

    #[test]
    fn a_name_is_cut_to_its_width() {
        assert_eq!(name("GD19", Lang::En), "appendectomy");
        assert_eq!(name("GD19", Lang::Zh), "阑尾切除术");
        assert_eq!(name("BR21", Lang::En), "cerebral ischaemia w MCC");
        let long = drg_names().iter().map(|(code, _, _)| name(code, Lang::En).chars().count());
        assert_eq!(long.max(), Some(NAME_CHARS.0));
        assert_eq!(name("999", Lang::En), "");
    }
}
