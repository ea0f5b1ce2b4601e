//! The distribution of each disease group: a box plot beside its name and counts.

use maud::{Markup, html};
use model::casemix::benchmark::{Benchmark, GroupRow};

use super::figures::{amount, at, count, real, ticks};
use super::frame::{self, WIDTH};
use super::labels::{fit, width};
use super::scale::{Kind, Scale, shown};
use super::text::{Text, name};
use crate::message::Lang;

/// No more groups are drawn.
const MOST: usize = 30;
/// Left and right edge of the plot; names stand before it, numbers behind.
const PLOT: (f64, f64) = (316.0, 968.0);
/// Right edges of the columns of numbers.
const COLUMNS: [f64; 2] = [1056.0, WIDTH];
const TOP: f64 = 46.0;
const ROW: f64 = 21.0;
const FOOT: f64 = 44.0;
const SIZE: f64 = 12.0;
/// Half the height of a box.
const HALF: f64 = 5.5;
/// A box of equal quartiles is still seen.
const THINNEST: f64 = 1.5;

/// What of a group can be drawn.
struct Marks {
    percentiles: [Option<f64>; 5],
    mean: Option<f64>,
}

impl Marks {
    fn of(group: &GroupRow) -> Self {
        let percentiles = group.percentiles.map(|bounded| shown(bounded.map(|found| found.value)));
        Self { percentiles, mean: shown(group.mean) }
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.percentiles.into_iter().chain([self.mean]).flatten()
    }
}

/// The section with the chart, or with a sentence when nothing was released.
pub(super) fn section(benchmark: &Benchmark, lang: Lang, mean: Option<f64>) -> Markup {
    let groups = benchmark.groups.get(..MOST).unwrap_or(&benchmark.groups);
    let marks: Vec<_> = groups.iter().map(Marks::of).collect();
    let values: Vec<f64> = marks.iter().flat_map(Marks::values).collect();
    let scale = Scale::over(&values, PLOT.0 + 8.0, PLOT.1 - 8.0);
    let log = scale.is_some_and(|scale| scale.kind() == Kind::Log);
    let log = if log { Text::LogAxis.of(lang) } else { "" };
    let lead = Text::GroupsLead.fill(lang, &[&groups.len(), &benchmark.groups.len(), &log]);
    let drawn = scale.map(|scale| chart(benchmark, lang, &scale, mean));
    let lead = if drawn.is_some() { lead } else { Text::GroupsNone.of(lang).to_owned() };
    frame::section("groups", Text::GroupsTitle.of(lang), &lead, drawn)
}

fn chart(benchmark: &Benchmark, lang: Lang, scale: &Scale, mean: Option<f64>) -> Markup {
    let groups = benchmark.groups.get(..MOST).unwrap_or(&benchmark.groups);
    let bottom = ROW.mul_add(real(groups.len()), TOP);
    let axis = match benchmark.measure.as_str() {
        "charge" => Text::AxisCharge.of(lang),
        _ => Text::AxisCost.of(lang),
    };
    let axis = Text::GroupAxis.fill(lang, &[&axis]);
    // Names of groups start where the longest code ends.
    let codes = groups.iter().map(|group| width(&group.drg_code, SIZE));
    let indent = codes.fold(24.0, f64::max).min(96.0) + 12.0;
    let title = Text::GroupsTitle.of(lang);
    frame::drawing(
        "groups",
        title,
        &axis,
        bottom + FOOT,
        &html! {
            text class="axis" x=(at(f64::midpoint(PLOT.0, PLOT.1))) y="14" text-anchor="middle" { (axis) }
            text class="axis" x=(at(COLUMNS[0])) y="34" text-anchor="end" { (Text::Stays.of(lang)) }
            text class="axis" x=(at(COLUMNS[1])) y="34" text-anchor="end" { (Text::Mean.of(lang)) }
            (grid(scale, bottom))
            @if let Some(mean) = mean.filter(|mean| scale.holds(*mean)) {
                (reference(scale.at(mean), &Text::RegionalMean.fill(lang, &[&amount(Some(mean))]), bottom))
            }
            @for (index, group) in groups.iter().enumerate() {
                (row(group, lang, scale, (ROW.mul_add(real(index), TOP), indent)))
            }
        },
    )
}

fn grid(scale: &Scale, bottom: f64) -> Markup {
    let values = scale.ticks();
    let texts = ticks(&values);
    html! {
        @for (value, text) in values.iter().zip(&texts) {
            @let x = at(scale.at(*value));
            line class="grid" x1=(x) x2=(x) y1=(at(TOP - 4.0)) y2=(at(bottom)) {}
            text class="tick" x=(x) y=(at(TOP - 11.0)) text-anchor="middle" { (text) }
            text class="tick" x=(x) y=(at(bottom + 15.0)) text-anchor="middle" { (text) }
        }
    }
}

fn reference(x: f64, text: &str, bottom: f64) -> Markup {
    let half = width(text, 11.0) / 2.0;
    let middle = x.clamp(PLOT.0 + half, PLOT.1.max(PLOT.0 + half) - half);
    html! {
        line class="reference" x1=(at(x)) x2=(at(x)) y1=(at(TOP - 4.0)) y2=(at(bottom + 22.0)) {}
        text class="note" x=(at(middle)) y=(at(bottom + 34.0)) text-anchor="middle" { (text) }
    }
}

fn row(group: &GroupRow, lang: Lang, scale: &Scale, (top, indent): (f64, f64)) -> Markup {
    let (middle, base) = (top + ROW / 2.0, top + ROW / 2.0 + 4.0);
    let marks = Marks::of(group);
    let code = fit(&group.drg_code, SIZE, indent - 12.0);
    let named = fit(name(group.name.as_ref(), lang), SIZE, PLOT.0 - 8.0 - indent);
    html! {
        line class="row" x1="0" x2=(at(WIDTH)) y1=(at(top + ROW)) y2=(at(top + ROW)) {}
        text class="code" x="0" y=(at(base)) { (code) }
        text class="name" x=(at(indent)) y=(at(base)) { (named) }
        @if marks.values().next().is_some() {
            g class="mark" {
                title { (tooltip(group, lang)) }
                (boxed(&marks, scale, middle))
            }
        } @else {
            text class="none" x=(at(PLOT.0 + 8.0)) y=(at(base)) { (Text::Withheld.of(lang)) }
        }
        text class="number" x=(at(COLUMNS[0])) y=(at(base)) text-anchor="end" { (count(group.stays)) }
        text class="number" x=(at(COLUMNS[1])) y=(at(base)) text-anchor="end" { (amount(group.mean)) }
    }
}

fn boxed(marks: &Marks, scale: &Scale, y: f64) -> Markup {
    let [p10, p25, p50, p75, p90] = marks.percentiles.map(|value| value.map(|v| scale.at(v)));
    let (top, height) = (at(y - HALF), at(2.0 * HALF));
    html! {
        @for (outer, inner) in [(p10, p25), (p90, p75)] {
            // Without its quartile a whisker reaches to the median.
            @if let (Some(outer), Some(inner)) = (outer, inner.or(p50)) {
                line class="whisker" x1=(at(outer)) x2=(at(inner)) y1=(at(y)) y2=(at(y)) {}
                line class="whisker" x1=(at(outer)) x2=(at(outer)) y1=(at(y - 3.5)) y2=(at(y + 3.5)) {}
            }
        }
        @if let (Some(p25), Some(p75)) = (p25, p75) {
            rect class="box" x=(at(p25)) y=(top) width=(at((p75 - p25).max(THINNEST))) height=(height) {}
        }
        @if let Some(p50) = p50 {
            line class="median" x1=(at(p50)) x2=(at(p50)) y1=(top) y2=(at(y + HALF)) {}
        }
        @if let Some(mean) = marks.mean {
            circle class="mean" cx=(at(scale.at(mean))) cy=(at(y)) r="3.2" {}
        }
    }
}

fn tooltip(group: &GroupRow, lang: Lang) -> String {
    let percentiles = group.percentiles.map(|found| amount(found.map(|found| found.value)));
    let named = name(group.name.as_ref(), lang);
    format!(
        "{} {named}\n{} {} · {} {}\np10 · p25 · p50 · p75 · p90: {}",
        group.drg_code,
        count(group.stays),
        Text::Stays.of(lang),
        Text::Mean.of(lang),
        amount(group.mean),
        percentiles.join(" · ")
    )
}
