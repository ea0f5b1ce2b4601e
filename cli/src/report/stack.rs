//! What the money of each disease group is spent on: one bar of 100 % each.

use maud::{Markup, html};
use model::casemix::benchmark::{Benchmark, GroupRow};

use super::classes::{CLASSES, Kind};
use super::figures::{at, percent, real};
use super::frame::{self, WIDTH};
use super::labels::{fit, flow, width};
use super::text::{Text, name};
use crate::message::Lang;

/// No more groups are drawn.
const MOST: usize = 20;
const PLOT: (f64, f64) = (316.0, 984.0);
/// Right edges of the columns of numbers.
const COLUMNS: [f64; 2] = [1062.0, WIDTH];
const ROW: f64 = 24.0;
const BAR: f64 = 17.0;
const SIZE: f64 = 12.0;
const LINE: f64 = 19.0;
/// A narrower part has no number in it.
const NUMBERED: f64 = 26.0;
/// A narrower part is not drawn.
const THINNEST: f64 = 0.05;
/// Shares that add up to this are complete; the rest is rounding.
const COMPLETE: f64 = 0.9995;

/// Shares of a group by class, in the order of the classes, and how much they leave.
struct Bar<'a> {
    group: &'a GroupRow,
    shares: [f64; CLASSES.len()],
    rest: f64,
}

impl<'a> Bar<'a> {
    /// The bar of a group with at least one positive share.
    fn of(group: &'a GroupRow) -> Option<Self> {
        let mut shares = [0.0; CLASSES.len()];
        for share in &group.composition {
            let known = CLASSES.iter().position(|class| class.code == share.class);
            let place = shares.get_mut(known.unwrap_or(CLASSES.len() - 1));
            if let Some(sum) = place.filter(|_| share.share.is_finite() && share.share > 0.0) {
                *sum += share.share.min(1.0);
            }
        }
        let sum: f64 = shares.iter().sum();
        // Rounding may give a little more than one.
        let shares = shares.map(|share| share / sum.max(1.0));
        let rest = if sum < COMPLETE { 1.0 - sum } else { 0.0 };
        (sum > 0.0).then_some(Self { group, shares, rest })
    }

    /// The share of a kind. A class that is not among the shares is nothing when they are
    /// complete, and not known when something was not released.
    fn of_kind(&self, kind: Kind) -> Option<f64> {
        let parts = CLASSES.iter().zip(self.shares).filter(|(class, _)| class.kind == kind);
        let parts: Vec<f64> = parts.map(|(_, share)| share).collect();
        let known = self.rest <= 0.0 || parts.iter().all(|share| *share > 0.0);
        known.then(|| parts.iter().sum())
    }
}

/// The section with the chart, or with a sentence when no group's composition was released.
pub(super) fn section(benchmark: &Benchmark, lang: Lang) -> Markup {
    let bars: Vec<_> = benchmark.groups.iter().filter_map(Bar::of).take(MOST).collect();
    let title = Text::CompositionTitle.of(lang);
    if bars.is_empty() {
        return frame::section("composition", title, Text::CompositionNone.of(lang), None);
    }
    let lead = Text::CompositionLead.fill(lang, &[&bars.len()]);
    frame::section("composition", title, &lead, Some(chart(&bars, lang, &lead)))
}

fn chart(bars: &[Bar<'_>], lang: Lang, lead: &str) -> Markup {
    let (legend, lines) = legend(bars, lang);
    let top = lines.mul_add(LINE, 26.0);
    let bottom = ROW.mul_add(real(bars.len()), top);
    let codes = bars.iter().map(|bar| width(&bar.group.drg_code, SIZE));
    let indent = codes.fold(24.0, f64::max).min(96.0) + 12.0;
    let title = Text::CompositionTitle.of(lang);
    frame::drawing(
        "composition",
        title,
        lead,
        bottom + 22.0,
        &html! {
            defs {
                pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect width="6" height="6" fill="#fff" {}
                    line x1="0" y1="0" x2="0" y2="6" stroke="#9aa1a9" stroke-width="2" {}
                }
            }
            (legend)
            @for (column, text) in COLUMNS.into_iter().zip([Text::Drugs, Text::Consumables]) {
                text class="axis" x=(at(column)) y=(at(top - 8.0)) text-anchor="end" { (text.of(lang)) }
            }
            @for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
                @let x = at((PLOT.1 - PLOT.0).mul_add(part, PLOT.0));
                line class="grid" x1=(x) x2=(x) y1=(at(top - 2.0)) y2=(at(bottom + 2.0)) {}
                text class="tick" x=(x) y=(at(bottom + 16.0)) text-anchor="middle" { (percent(Some(part), 0)) }
            }
            @for (index, bar) in bars.iter().enumerate() {
                (row(bar, lang, (ROW.mul_add(real(index), top), indent)))
            }
        },
    )
}

/// The classes that occur, in lines of the width, and how many lines.
fn legend(bars: &[Bar<'_>], lang: Lang) -> (Markup, f64) {
    let used = CLASSES.iter().enumerate().filter(|(index, _)| {
        bars.iter().any(|bar| bar.shares.get(*index).is_some_and(|share| *share > 0.0))
    });
    let mut items: Vec<_> = used.map(|(_, class)| (class.colour, class.name(lang))).collect();
    if bars.iter().any(|bar| bar.rest > 0.0) {
        items.push(("url(#hatch)", Text::NotReleased.of(lang)));
    }
    let widths: Vec<_> = items.iter().map(|(_, text)| width(text, SIZE) + 36.0).collect();
    let places = flow(&widths, WIDTH);
    let lines = places.last().map_or(0.0, |(_, line)| line + 1.0);
    let drawn = html! {
        @for ((colour, text), (x, line)) in items.iter().zip(&places) {
            rect class="swatch" x=(at(*x)) y=(at(line * LINE)) width="13" height="13" fill=(colour) {}
            text class="name" x=(at(x + 19.0)) y=(at(line * LINE + 11.0)) { (text) }
        }
    };
    (drawn, lines)
}

fn row(bar: &Bar<'_>, lang: Lang, (top, indent): (f64, f64)) -> Markup {
    let base = top + ROW / 2.0 + 4.0;
    let code = fit(&bar.group.drg_code, SIZE, indent - 12.0);
    let named = fit(name(bar.group.name.as_ref(), lang), SIZE, PLOT.0 - 10.0 - indent);
    let scale = PLOT.1 - PLOT.0;
    let mut x = PLOT.0;
    let parts: Vec<_> = CLASSES
        .iter()
        .zip(bar.shares)
        .map(|(class, share)| {
            let (left, wide) = (x, share * scale);
            x += wide;
            (class, share, left, wide)
        })
        .filter(|(_, _, _, wide)| *wide >= THINNEST)
        .collect();
    let y = top + (ROW - BAR) / 2.0;
    html! {
        text class="code" x="0" y=(at(base)) { (code) }
        text class="name" x=(at(indent)) y=(at(base)) { (named) }
        @for (class, share, left, wide) in &parts {
            rect class="mark part" x=(at(*left)) y=(at(y)) width=(at(*wide)) height=(at(BAR)) fill=(class.colour) {
                title { (bar.group.drg_code) " · " (class.name(lang)) " " (percent(Some(*share), 1)) }
            }
            @if *wide >= NUMBERED {
                text class=(if class.full() { "inside full" } else { "inside" })
                    x=(at(left + wide / 2.0)) y=(at(base - 0.5)) text-anchor="middle" { (whole(*share)) }
            }
        }
        @if bar.rest * scale >= THINNEST {
            rect class="mark part rest" x=(at(x)) y=(at(y)) width=(at(bar.rest * scale)) height=(at(BAR)) fill="url(#hatch)" {
                title { (bar.group.drg_code) " · " (Text::NotReleased.of(lang)) " " (percent(Some(bar.rest), 1)) }
            }
        }
        @for (column, kind) in COLUMNS.into_iter().zip([Kind::Drug, Kind::Consumable]) {
            text class="number" x=(at(column)) y=(at(base)) text-anchor="end" { (percent(bar.of_kind(kind), 1)) }
        }
    }
}

/// A share in whole percent without the sign, for inside a bar.
fn whole(share: f64) -> String {
    format!("{:.0}", share * 100.0)
}
