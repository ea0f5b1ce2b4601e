//! The benchmark for people at a terminal: the largest groups, then all hospitals.

use model::casemix::benchmark::{Bounded, GroupRow, HospitalRow};
use num_traits::ToPrimitive as _;

use super::Regional;
use crate::console::Console;
use crate::message::{Lang, Message};
use crate::sheet::{Align, Sheet, grouped};

/// Groups shown.
const GROUPS_SHOWN: usize = 25;
/// Hospitals shown.
const HOSPITALS_SHOWN: usize = 60;
/// Characters of a name, by language; a Chinese character is two columns wide.
const NAME_CHARS: (usize, usize) = (32, 17);
/// Complications and comorbidities as DRG tables write them.
const SHORT: [(&str, &str); 3] = [
    ("without complications", "w/o CC"),
    ("with major complications", "w MCC"),
    ("with complications", "w CC"),
];
/// What stands where nothing was released.
const WITHHELD: &str = "-";

/// Both tables.
pub(super) fn render(regional: &Regional, console: Console) -> String {
    let benchmark = &regional.benchmark;
    let stays: u64 = benchmark.groups.iter().map(|group| group.stays).sum();
    let title: [&dyn std::fmt::Display; 4] = [
        &benchmark.region,
        &benchmark.groups.len(),
        &grouped(stays),
        &benchmark.hospitals_answered.0,
    ];
    let mut text = console.text(Message::BenchmarkTitle, &title);
    text.push('\n');
    let trim = if benchmark.trim == "none" { "" } else { &benchmark.trim };
    let chosen = [
        benchmark.scheme.as_str(),
        &benchmark.period,
        &benchmark.tier,
        &benchmark.measure,
        trim,
        &benchmark.parameters,
    ];
    let chosen: Vec<_> = chosen.into_iter().filter(|one| !one.is_empty()).collect();
    text.push_str(&chosen.join(" · "));
    text.push('\n');
    text.push_str(&groups(&benchmark.groups, console.lang()));
    text.push('\n');
    let more = |text: &mut String, message, count: usize| {
        if count > 0 {
            text.push_str(&console.text(message, &[&count]));
            text.push('\n');
        }
    };
    more(&mut text, Message::MoreGroups, benchmark.groups.len().saturating_sub(GROUPS_SHOWN));
    text.push_str(&hospitals(&benchmark.hospitals, console.lang()));
    text.push('\n');
    let hidden = benchmark.hospitals.len().saturating_sub(HOSPITALS_SHOWN);
    more(&mut text, Message::MoreHospitals, hidden);
    text
}

fn sheet(headings: &[(Message, Align)], lang: Lang) -> Sheet {
    Sheet::new(headings.iter().map(|(message, align)| (message.text(lang), *align)))
}

fn groups(rows: &[GroupRow], lang: Lang) -> String {
    let named = rows.iter().any(|row| row.name.is_some());
    let mut headings = vec![(Message::DrgGroup, Align::Left)];
    if named {
        headings.push((Message::DrgName, Align::Left));
    }
    headings.extend(
        [
            Message::Stays,
            Message::Hospitals,
            Message::Weight,
            Message::MeanCost,
            Message::Variation,
            Message::MedianCost,
            Message::NinthDecile,
            Message::MeanLos,
            Message::MedianLos,
            Message::Consumables,
        ]
        .map(|message| (message, Align::Right)),
    );
    let mut sheet = sheet(&headings, lang);
    for row in rows.iter().take(GROUPS_SHOWN) {
        let mut cells = vec![row.drg_code.clone()];
        if named {
            cells.push(name(row.name.as_ref(), lang));
        }
        cells.extend([
            grouped(row.stays),
            row.hospitals.to_string(),
            decimals(row.relative_weight, 3),
            money(row.mean),
            decimals(row.cv, 2),
            money(value(row.percentiles[2])),
            money(value(row.percentiles[4])),
            decimals(row.los_mean, 1),
            decimals(value(row.los_median), 0),
            percent(share(row, "consumable")),
        ]);
        sheet.row(cells);
    }
    sheet.render()
}

fn hospitals(rows: &[HospitalRow], lang: Lang) -> String {
    let right = [
        Message::Stays,
        Message::GroupingRate,
        Message::CaseMixIndex,
        Message::TotalWeight,
        Message::CostIndex,
        Message::TimeIndex,
        Message::StaysAbove,
        Message::StaysBelow,
        Message::Alerts,
    ]
    .map(|message| (message, Align::Right));
    let mut headings = vec![(Message::Hospital, Align::Left), (Message::Tier, Align::Left)];
    headings.extend(right);
    let mut sheet = sheet(&headings, lang);
    for row in rows.iter().take(HOSPITALS_SHOWN) {
        sheet.row([
            row.hospital_id.clone(),
            row.tier.clone(),
            grouped(row.stays),
            percent(row.grouping_rate),
            decimals(row.cmi, 3),
            decimals(row.total_weight, 1),
            decimals(row.cost_index, 3),
            decimals(row.time_index, 3),
            percent(row.share_above),
            percent(row.share_below),
            row.alerts.to_string(),
        ]);
    }
    sheet.render()
}

fn value(bounded: Option<Bounded>) -> Option<f64> {
    bounded.map(|bounded| bounded.value)
}

fn share(row: &GroupRow, class: &str) -> Option<f64> {
    row.composition.iter().find(|share| share.class == class).map(|share| share.share)
}

/// A name in a table of a terminal: complications in the short form of DRG tables, and no longer
/// than its column.
pub(crate) fn name(names: Option<&(String, String)>, lang: Lang) -> String {
    let (name, most) = match (names, lang) {
        (None, _) => return String::new(),
        (Some((english, _)), Lang::En) => (english, NAME_CHARS.0),
        (Some((_, chinese)), Lang::Zh) => (chinese, NAME_CHARS.1),
    };
    let name = SHORT.iter().fold(name.clone(), |name, (long, short)| name.replace(long, short));
    if name.chars().count() <= most {
        return name;
    }
    let cut: String = name.chars().take(most - 1).collect();
    format!("{}…", cut.trim_end())
}

/// A whole amount with thousands separated.
pub(crate) fn money(value: Option<f64>) -> String {
    let whole = |value: f64| value.abs().round().to_u64().map(grouped);
    let text = value.and_then(|value| Some((value < 0.0, whole(value)?)));
    text.map_or_else(
        || WITHHELD.to_owned(),
        |(negative, text)| if negative { format!("-{text}") } else { text },
    )
}

/// A number with so many decimals.
pub(crate) fn decimals(value: Option<f64>, places: usize) -> String {
    value.map_or_else(|| WITHHELD.to_owned(), |value| format!("{value:.places$}"))
}

/// A share of one as a percentage.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| WITHHELD.to_owned(), |share| format!("{:.1} %", share * 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::drg_names;

    #[test]
    fn a_name_is_cut_to_its_width() {
        let of = |code: &str, lang| {
            let found = drg_names().iter().find(|(known, _, _)| known == code);
            name(found.map(|(_, en, zh)| (en.clone(), zh.clone())).as_ref(), lang)
        };
        assert_eq!(of("GD19", Lang::En), "appendectomy");
        assert_eq!(of("GD19", Lang::Zh), "阑尾切除术");
        assert_eq!(of("BR21", Lang::En), "cerebral ischaemia w MCC");
        let long = drg_names().iter().map(|(code, _, _)| of(code, Lang::En).chars().count());
        assert_eq!(long.max(), Some(NAME_CHARS.0));
        assert_eq!(of("999", Lang::En), "");
    }

    #[test]
    fn what_is_withheld_is_a_dash_and_never_zero() {
        assert_eq!([money(None), percent(None), decimals(None, 2)], ["-", "-", "-"]);
        assert_eq!([money(Some(0.4)), money(Some(-1_234.5))], ["0", "-1,235"]);
        assert_eq!((decimals(Some(1.0 / 3.0), 3), percent(Some(0.4512))), {
            ("0.333".to_owned(), "45.1 %".to_owned())
        });
    }
}
