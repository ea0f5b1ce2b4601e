//! The two tables that hold everything: all disease groups and all hospitals.
//!
//! A cell may have a second line in grey for a value that belongs to the first, which its heading
//! names the same way; so all values of a group stand in one row of a page.

use maud::{Markup, html};
use model::casemix::benchmark::{Basis, Benchmark, Bounded, GroupRow, HospitalRow};

use super::figures::{amount, at, count, decimals, error, fixed, percent};
use super::quadrant::numbered;
use super::scale::shown;
use super::text::{Text, name, tier};
use crate::message::Lang;

/// Bars of indices reach at least and at most so far from 1.
const LEAST: f64 = 0.1;
const MOST: f64 = 1.0;

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
                        (group_head(&group_headings(trimmed, lang), lang))
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
                @let numbered = numbered(benchmark);
                div.wide {
                    table.hospitals.numbered[numbered] {
                        (hospital_head(lang))
                        tbody {
                            @let widest = widest(&benchmark.hospitals);
                            @for (found, number) in benchmark.hospitals.iter().zip(1_usize..) {
                                (hospital_row(found, numbered.then_some(number), widest, lang))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn group_head(headings: &[Heading], lang: Lang) -> Markup {
    html! {
        thead {
            tr {
                @for (index, (first, second)) in headings.iter().enumerate() {
                    th scope="col" class=[(index == 0).then_some("text")] {
                        (first) @if !second.is_empty() { small { (second) } }
                    }
                }
                th.text scope="col" { (Text::Best.of(lang)) }
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

/// Each index stands over its number and the bar of how far it is from 1.
fn hospital_head(lang: Lang) -> Markup {
    let index = |text: Text| {
        html! {
            th scope="col" { (text.of(lang)) }
            td.bar {}
            th.second scope="col" { (Text::MeanRatio.of(lang)) }
        }
    };
    html! {
        thead {
            tr {
                @for text in [Text::Hospital, Text::Tier] { th.text scope="col" { (text.of(lang)) } }
                @for text in [Text::ColStays, Text::Grouped, Text::Cmi, Text::TotalWeight] {
                    th scope="col" { (text.of(lang)) }
                }
                (index(Text::ColCostIndex))
                (index(Text::ColTimeIndex))
                @for text in [Text::Above, Text::Below, Text::Alerts] {
                    th scope="col" { (text.of(lang)) }
                }
            }
        }
    }
}

/// How far from 1 the bars of indices reach: as far as the furthest, within bounds.
fn widest(hospitals: &[HospitalRow]) -> f64 {
    let indices = hospitals.iter().flat_map(|found| [found.cost_index, found.time_index]);
    let off = indices.filter_map(shown).map(|index| (index - 1.0).abs());
    off.fold(LEAST, f64::max).min(MOST)
}

/// A bar to the right of the middle for an index above 1, to the left for one below.
fn bar(index: Option<f64>, widest: f64) -> Markup {
    let off = shown(index).map(|index| (index - 1.0).clamp(-widest, widest) / widest * 50.0);
    html! {
        td.bar {
            @if let Some(off) = off {
                div { i class=(if off > 0.0 { "above" } else { "below" })
                    style=(format!("left:{}%;width:{}%", at(50.0 + off.min(0.0)), at(off.abs()))) {} }
            }
        }
    }
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

fn hospital_row(
    hospital: &HospitalRow,
    number_of: Option<usize>,
    widest: f64,
    lang: Lang,
) -> Markup {
    let index = |value, ratio| {
        html! {
            (number(&fixed(value, 2), ""))
            (bar(value, widest))
            td.second { (fixed(ratio, 2)) }
        }
    };
    html! {
        tr {
            th scope="row" {
                @if let Some(number) = number_of { span.no { (number) } }
                (hospital.hospital_id)
            }
            td.text { (tier(&hospital.tier, lang)) }
            (number(&count(hospital.stays), ""))
            (number(&percent(hospital.grouping_rate, 1), ""))
            (number(&fixed(hospital.cmi, 2), ""))
            (number(&fixed(hospital.total_weight, 1), ""))
            (index(hospital.cost_index, hospital.cost_index_mean_ratio))
            (index(hospital.time_index, hospital.time_index_mean_ratio))
            (number(&percent(hospital.share_above, 1), ""))
            (number(&percent(hospital.share_below, 1), ""))
            (number(&count(hospital.alerts), ""))
        }
    }
}
