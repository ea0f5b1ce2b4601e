//! The first page: what was asked of whom, how much of it is covered, and the key figures.

use maud::{Markup, html};
use model::casemix::benchmark::{Benchmark, HospitalRow};

use super::figures::{DASH, amount, count, fixed, percent, real};
use super::labels::fit;
use super::scale::shown;
use super::text::{Text, tier};
use crate::message::Lang;

/// Size of text below a key figure, and how much room a hospital's name has there.
const NAME: (f64, f64) = (13.0, 190.0);

/// Stay-weighted mean over the groups with a mean.
pub(super) fn regional_mean(benchmark: &Benchmark) -> Option<f64> {
    let known = benchmark.groups.iter().filter_map(|g| Some((real(g.stays), shown(g.mean)?)));
    let (stays, sum) = known.fold((0.0, 0.0), |(stays, sum), (of_group, mean)| {
        (stays + of_group, of_group.mul_add(mean, sum))
    });
    (stays > 0.0).then(|| sum / stays)
}

/// Title, circumstances, and the sentence on what is released.
pub(super) fn title(benchmark: &Benchmark, lang: Lang, made_at: &str) -> Markup {
    html! {
        header {
            p.eyebrow { (Text::Eyebrow.of(lang)) }
            h1 { (Text::Title.fill(lang, &[&benchmark.region])) }
            dl {
                @for (term, text) in circumstances(benchmark, lang) {
                    div { dt { (term) } dd { (text) } }
                }
                div { dt { (Text::Made.of(lang)) } dd { (made_at) } }
            }
            p.pledge { (Text::Pledge.of(lang)) }
        }
    }
}

fn circumstances(benchmark: &Benchmark, lang: Lang) -> Vec<(&'static str, String)> {
    let or = |text: &str, empty: Text| {
        if text.is_empty() { empty.of(lang).to_owned() } else { text.to_owned() }
    };
    let measure = match benchmark.measure.as_str() {
        "charge" => Text::Charge.of(lang),
        "cost" => Text::Cost.of(lang),
        other => other,
    };
    let trim = if benchmark.trim == "none" { "" } else { &benchmark.trim };
    let tier = if benchmark.tier.is_empty() { "" } else { tier(&benchmark.tier, lang) };
    let (answered, asked) = benchmark.hospitals_answered;
    let (in_groups, by_hospital) = benchmark.coverage;
    let rows = [
        (Text::Period, or(&benchmark.period, Text::AllPeriods)),
        (Text::Tier, or(tier, Text::AllTiers)),
        (Text::Measure, measure.to_owned()),
        (Text::Scheme, or(&benchmark.scheme, Text::NoTrim)),
        (Text::Trim, or(trim, Text::NoTrim)),
        (Text::Parameters, or(&benchmark.parameters, Text::NoTrim)),
        (Text::Answered, Text::OfAsked.fill(lang, &[&count(answered), &count(asked)])),
        (Text::CoveredGroups, percent(in_groups, 1)),
        (Text::CoveredHospitals, percent(by_hospital, 1)),
        (Text::WithheldGroups, count(benchmark.withheld.0)),
        (Text::WithheldCells, count(benchmark.withheld.1)),
    ];
    rows.into_iter().map(|(term, text)| (term.of(lang), text)).collect()
}

/// The strip of key figures.
pub(super) fn key_figures(benchmark: &Benchmark, lang: Lang, mean: Option<f64>) -> Markup {
    let stays = benchmark.groups.iter().fold(0_u64, |sum, group| sum.saturating_add(group.stays));
    let groups = u64::try_from(benchmark.groups.len()).unwrap_or(u64::MAX);
    let known = benchmark.hospitals.iter();
    let mut known: Vec<_> =
        known.filter_map(|found| Some((found, shown(found.cost_index)?))).collect();
    known.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    html! {
        section.key aria-label=(Text::KeyFigures.of(lang)) {
            (figure(&count(groups), Text::KeyGroups.of(lang), ""))
            (figure(&count(stays), Text::KeyStays.of(lang), ""))
            (figure(&amount(mean), Text::KeyMean.of(lang), ""))
            (hospital(known.last(), Text::KeyHighest.of(lang)))
            (hospital(known.first(), Text::KeyLowest.of(lang)))
        }
    }
}

fn hospital(found: Option<&(&HospitalRow, f64)>, label: &str) -> Markup {
    let Some((hospital, index)) = found else { return figure(DASH, label, "") };
    figure(&fixed(Some(*index), 2), label, &fit(&hospital.hospital_id, NAME.0, NAME.1))
}

fn figure(value: &str, label: &str, whose: &str) -> Markup {
    html! {
        div {
            strong { (value) }
            span { (label) @if !whose.is_empty() { br; b { (whose) } } }
        }
    }
}
