//! The two tables that hold everything: all disease groups and all hospitals.
//!
//! A cell may have a second line in grey for a value that belongs to the first, which its heading
//! names the same way; so all values of a group stand in one row of a page.

use maud::{Markup, html};
use model::casemix::benchmark::{Basis, Benchmark, Bounded, GroupRow, HospitalRow};

use super::figures::{amount, count, decimals, error, fixed, percent};
use super::text::{Text, name, tier};
use crate::message::Lang;

/// A heading and what is below it in grey.
type Heading = (&'static str, &'static str);

/// The section of all groups.
pub(super) fn groups(benchmark: &Benchmark, lang: Lang) -> Markup {
    let trimmed = !matches!(benchmark.trim.as_str(), "" | "none");
    let adjacent = benchmark.groups.iter().any(|group| group.weight_basis == Basis::Adjacent);
    html! {
        section id="group-table" {
            h2 { (Text::GroupTable.of(lang)) }
            @if benchmark.groups.is_empty() {
                p.lead { (Text::NoGroups.of(lang)) }
            } @else {
                p.lead { (Text::GroupTableLead.of(lang)) }
                div.wide {
                    table.groups {
                        (head(&group_headings(trimmed, lang), 1, lang, Text::Best))
                        tbody {
                            @for group in &benchmark.groups { (group_row(group, trimmed, lang)) }
                        }
                    }
                }
                @if adjacent { p.footnote { (Text::Dagger.of(lang)) } }
            }
        }
    }
}

/// The section of all hospitals.
pub(super) fn hospitals(benchmark: &Benchmark, lang: Lang) -> Markup {
    html! {
        section id="hospital-table" {
            h2 { (Text::HospitalTable.of(lang)) }
            @if benchmark.hospitals.is_empty() {
                p.lead { (Text::NoHospitals.of(lang)) }
            } @else {
                p.lead { (Text::HospitalTableLead.of(lang)) }
                div.wide {
                    table.hospitals {
                        (head(&hospital_headings(lang), 2, lang, Text::Alerts))
                        tbody {
                            @for hospital in &benchmark.hospitals { (hospital_row(hospital, lang)) }
                        }
                    }
                }
            }
        }
    }
}

/// The heading row: `texts` columns of text, then numbers, then one more column.
fn head(headings: &[Heading], texts: usize, lang: Lang, last: Text) -> Markup {
    let class = |index: usize| if index < texts { "text" } else { "number" };
    html! {
        thead {
            tr {
                @for (index, (first, second)) in headings.iter().enumerate() {
                    th scope="col" class=(class(index)) {
                        (first) @if !second.is_empty() { small { (second) } }
                    }
                }
                th scope="col" class=(if last == Text::Best { "text" } else { "number" }) { (last.of(lang)) }
            }
        }
    }
}

fn group_headings(trimmed: bool, lang: Lang) -> Vec<Heading> {
    let two = |first: Text, second: Text| (first.of(lang), second.of(lang));
    let one = |text: Text| (text.of(lang), "");
    let mut headings = vec![
        two(Text::Group, Text::Name),
        two(Text::ColStays, Text::ColHospitals),
        two(Text::ColMean, Text::Sd),
        two(Text::GeoMean, Text::Cv),
        ("p10", Text::Error.of(lang)),
        ("p25", Text::Error.of(lang)),
        two(Text::ColMedian, Text::Error),
        ("p75", Text::Error.of(lang)),
        ("p90", Text::Error.of(lang)),
        one(Text::Weight),
    ];
    headings.extend(trimmed.then(|| one(Text::Trimmed)));
    headings.extend([
        two(Text::Los, Text::GeoShort),
        two(Text::LosMedian, Text::Error),
        one(Text::Deaths),
    ]);
    headings
}

fn hospital_headings(lang: Lang) -> Vec<Heading> {
    let two = |first: Text, second: Text| (first.of(lang), second.of(lang));
    let one = |text: Text| (text.of(lang), "");
    vec![
        one(Text::Hospital),
        one(Text::Tier),
        one(Text::ColStays),
        one(Text::Grouped),
        one(Text::Cmi),
        one(Text::TotalWeight),
        two(Text::ColCostIndex, Text::MeanRatio),
        two(Text::ColTimeIndex, Text::MeanRatio),
        one(Text::Above),
        one(Text::Below),
    ]
}

fn number(first: &str, second: &str) -> Markup {
    html! { td { (first) @if !second.is_empty() { small { (second) } } } }
}

/// A percentile and, when it is not exact, its error in as many decimals.
fn bounded(found: Option<Bounded>, decimals: fn(f64) -> usize) -> Markup {
    let Some(Bounded { value, error: off }) = found.filter(|found| found.value.is_finite()) else {
        return number(&fixed(None, 0), "");
    };
    let decimals = decimals(value);
    let inexact = off.is_finite() && off > 0.0;
    let off = if inexact { format!("± {}", error(off, decimals)) } else { String::new() };
    number(&fixed(Some(value), decimals), &off)
}

fn group_row(group: &GroupRow, trimmed: bool, lang: Lang) -> Markup {
    let named = name(group.name.as_ref(), lang);
    let days = |value| fixed(value, 1);
    let weight = fixed(group.relative_weight, 2);
    let dagger = if group.weight_basis == Basis::Adjacent { "†" } else { "" };
    html! {
        tr {
            th scope="row" { (group.drg_code) @if !named.is_empty() { small { (named) } } }
            (number(&count(group.stays), &count(group.hospitals)))
            (number(&amount(group.mean), &amount(group.sd)))
            (number(&amount(group.geometric_mean), &fixed(group.cv, 2)))
            @for percentile in group.percentiles { (bounded(percentile, decimals)) }
            td { (weight) span.dagger { (dagger) } }
            @if trimmed { (number(&group.trimmed_stays.map_or_else(|| fixed(None, 0), count), "")) }
            (number(&days(group.los_mean), &days(group.los_geometric_mean)))
            (bounded(group.los_median, |_| 1))
            (number(&percent(group.death_rate, 1), ""))
            td.text {
                @if group.best.is_empty() { (fixed(None, 0)) }
                @for best in &group.best {
                    span.best {
                        i { (tier(&best.tier, lang)) } " " (best.hospital_id) " " b { (amount(Some(best.mean))) }
                    }
                }
            }
        }
    }
}

fn hospital_row(hospital: &HospitalRow, lang: Lang) -> Markup {
    let index = |value| fixed(value, 2);
    html! {
        tr {
            th scope="row" { (hospital.hospital_id) }
            td.text { (tier(&hospital.tier, lang)) }
            (number(&count(hospital.stays), ""))
            (number(&percent(hospital.grouping_rate, 1), ""))
            (number(&index(hospital.cmi), ""))
            (number(&fixed(hospital.total_weight, 1), ""))
            (number(&index(hospital.cost_index), &index(hospital.cost_index_mean_ratio)))
            (number(&index(hospital.time_index), &index(hospital.time_index_mean_ratio)))
            (number(&percent(hospital.share_above, 1), ""))
            (number(&percent(hospital.share_below, 1), ""))
            (number(&count(hospital.alerts), ""))
        }
    }
}
