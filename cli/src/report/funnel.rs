//! Observed over expected by size: a funnel plot, and the table behind it.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use model::casemix::standardised::{Band, funnel};

use super::figures::{DASH, at, count, fixed, ticks};
use super::frame::{self, WIDTH};
use super::labels::{Area, Placed, Room, Spot, place, width};
use super::scale::Scale;
use super::text::{Text, tier};
use super::{POLICY, STYLE, printable};
use crate::benchmark::oe::{Standing, Standings};
use crate::message::Lang;

/// The plot inside the drawing.
const PLOT: Area = Area { x: 56.0, y: 24.0, w: WIDTH - 72.0, h: 480.0 };
const HEIGHT: f64 = 560.0;
const RADIUS: f64 = 5.0;
const SIZE: f64 = 11.0;
/// Points of each limit.
const STEPS: u32 = 120;
/// A scale is never narrower than this around 1.
const AROUND: [f64; 2] = [0.8, 1.2];

/// The report in one language. `made_at` is when it was made, RFC 3339.
pub fn html(standings: &Standings, lang: Lang, made_at: &str) -> String {
    let code = if lang == Lang::En { "en" } else { "zh-CN" };
    let title = Text::FunnelTitle.fill(lang, &[&standings.card.design.response, &standings.region]);
    let page = html! {
        (DOCTYPE)
        html lang=(code) {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content="Consilium";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        p.eyebrow { (Text::FunnelEyebrow.of(lang)) }
                        h1 { (title) }
                        dl {
                            div { dt { (Text::FunnelModel.of(lang)) } dd { (standings.card.name) } }
                            div { dt { (Text::FunnelFormula.of(lang)) } dd { (standings.card.formula) } }
                            div {
                                dt { (Text::FunnelFamily.of(lang)) }
                                dd { (standings.card.family) ", " (standings.card.link) }
                            }
                            div { dt { (Text::Made.of(lang)) } dd { (made_at) } }
                        }
                    }
                    (section(standings, lang))
                    (table(standings, lang))
                    footer { (Text::Footer.fill(lang, &[&made_at])) }
                }
            }
        }
    };
    page.into_string().chars().map(printable).collect()
}

/// A hospital on the drawing.
struct Mark<'a> {
    standing: &'a Standing,
    ratio: f64,
    x: f64,
    y: f64,
    band: Band,
}

fn section(standings: &Standings, lang: Lang) -> Markup {
    let title = Text::FunnelHeading.of(lang);
    let told: Vec<_> =
        standings.hospitals.iter().filter_map(|one| Some((one, one.sums?, one.ratio?))).collect();
    let variance: f64 = told.iter().map(|(_, sums, _)| sums.variance).sum();
    let expected: f64 = told.iter().map(|(_, sums, _)| sums.expected).sum();
    let share = variance / expected;
    let largest = told.iter().map(|(_, sums, _)| sums.expected).fold(0.0, f64::max);
    let smallest = told.iter().map(|(_, sums, _)| sums.expected).fold(f64::INFINITY, f64::min);
    let ratios = told.iter().map(|(_, _, ratio)| ratio.ratio).chain(AROUND);
    // The funnel is cut where it would be wider than the marks need.
    let reach = funnel(smallest.max(largest / 50.0), share).0.min(1.0);
    let values: Vec<f64> = ratios.chain([1.0 - reach, 1.0 + reach]).collect();
    let x = Scale::over(&[0.0, largest], PLOT.x + RADIUS, PLOT.x + PLOT.w - RADIUS);
    let y = Scale::over(&values, PLOT.y + PLOT.h - RADIUS, PLOT.y + RADIUS);
    let (Some(x), Some(y), false) = (x, y, told.is_empty()) else {
        return frame::section("funnel", title, Text::FunnelNone.of(lang), None);
    };
    let marks: Vec<Mark<'_>> = told
        .into_iter()
        .map(|(standing, sums, ratio)| Mark {
            standing,
            ratio: ratio.ratio,
            x: x.at(sums.expected),
            y: y.at(ratio.ratio),
            band: ratio.band(),
        })
        .collect();
    let drawn = chart(&marks, (&x, &y), share, largest, lang);
    frame::section("funnel", title, Text::FunnelLead.of(lang), Some(drawn))
}

/// A limit as a path: `sign` is its side, `outer` whether it is that of 99.8 %.
fn limit((x, y): (&Scale, &Scale), share: f64, largest: f64, sign: f64, outer: bool) -> String {
    let mut path = String::new();
    for step in 1..=STEPS {
        let expected = largest * f64::from(step) / f64::from(STEPS);
        let (inner, wide) = funnel(expected, share);
        let ratio = sign.mul_add(if outer { wide } else { inner }, 1.0);
        if y.holds(ratio) {
            let command = if path.is_empty() { 'M' } else { 'L' };
            path.push_str(&format!("{command}{} {} ", at(x.at(expected)), at(y.at(ratio))));
        }
    }
    path
}

fn chart(
    marks: &[Mark<'_>],
    (x, y): (&Scale, &Scale),
    share: f64,
    largest: f64,
    lang: Lang,
) -> Markup {
    let labels = labels(marks);
    let (right, bottom) = (PLOT.x + PLOT.w, PLOT.y + PLOT.h);
    let (across, up) = (x.ticks(), y.ticks());
    let content = html! {
        @for (value, text) in across.iter().zip(ticks(&across)) {
            @let x = at(x.at(*value));
            line class="grid" x1=(x) x2=(x) y1=(at(PLOT.y)) y2=(at(bottom)) {}
            text class="tick" x=(x) y=(at(bottom + 16.0)) text-anchor="middle" { (text) }
        }
        @for (value, text) in up.iter().zip(ticks(&up)) {
            @let y = y.at(*value);
            line class="grid" x1=(at(PLOT.x)) x2=(at(right)) y1=(at(y)) y2=(at(y)) {}
            text class="tick" x=(at(PLOT.x - 8.0)) y=(at(y + 4.0)) text-anchor="end" { (text) }
        }
        line class="one" x1=(at(PLOT.x)) x2=(at(right)) y1=(at(y.at(1.0))) y2=(at(y.at(1.0))) {}
        @for sign in [-1.0, 1.0] {
            path class="limit" d=(limit((x, y), share, largest, sign, false)) {}
            path class="limit outer" d=(limit((x, y), share, largest, sign, true)) {}
        }
        @for mark in marks {
            circle class={ "mark " (class(mark.band)) } cx=(at(mark.x)) cy=(at(mark.y)) r=(at(RADIUS)) {
                title { (mark.standing.hospital) ": " (fixed(Some(mark.ratio), 3)) }
            }
        }
        @for (mark, Placed { area, .. }) in &labels {
            text class="label" x=(at(area.x)) y=(at(area.y + SIZE)) { (mark.standing.hospital) }
        }
        text class="axis" x=(at(PLOT.x + PLOT.w / 2.0)) y=(at(bottom + 38.0)) text-anchor="middle" {
            (Text::FunnelAcross.of(lang)) " →"
        }
        text class="axis" text-anchor="middle"
            transform=(format!("translate(13 {}) rotate(-90)", at(PLOT.y + PLOT.h / 2.0))) {
            (Text::FunnelUp.of(lang)) " →"
        }
    };
    let title = Text::FunnelHeading.of(lang);
    frame::drawing("funnel", title, Text::FunnelLead.of(lang), HEIGHT, &content)
}

/// Names of those outside the funnel, the farthest first, as far as there is room.
fn labels<'a>(marks: &'a [Mark<'a>]) -> Vec<(&'a Mark<'a>, Placed)> {
    let mut order: Vec<_> = marks.iter().filter(|mark| mark.band != Band::Within).collect();
    let far = |mark: &Mark<'_>| (mark.ratio - 1.0).abs();
    order.sort_by(|a, b| far(b).total_cmp(&far(a)));
    let spot = |mark: &&Mark<'_>| Spot {
        x: mark.x,
        y: mark.y,
        radius: RADIUS + 1.0,
        width: width(&mark.standing.hospital, SIZE).max(1.0),
        size: SIZE,
    };
    let spots: Vec<_> = order.iter().map(spot).collect();
    let inside = marks.iter().filter(|mark| mark.band == Band::Within);
    let taken: Vec<_> = inside.map(|mark| Area::around(mark.x, mark.y, RADIUS)).collect();
    let placed = place(&spots, &Room { inside: PLOT, obstacles: &taken, lines: &[] });
    order.into_iter().zip(placed).filter_map(|(mark, placed)| Some((mark, placed?))).collect()
}

const fn class(band: Band) -> &'static str {
    match band {
        Band::Within => "within",
        Band::High | Band::VeryHigh => "above",
        Band::Low | Band::VeryLow => "below",
    }
}

fn table(standings: &Standings, lang: Lang) -> Markup {
    let heads = [
        Text::FunnelHospital,
        Text::Tier,
        Text::FunnelStays,
        Text::FunnelObserved,
        Text::FunnelExpected,
        Text::FunnelRatio,
        Text::FunnelLimits,
    ];
    html! {
        section id="oe" {
            h2 { (Text::FunnelTable.of(lang)) }
            @let limits = if standings.counts { Text::FunnelExact } else { Text::FunnelNormal };
            p.lead { (limits.of(lang)) }
            div.wide {
                table {
                    thead {
                        tr {
                            @for (index, head) in heads.iter().enumerate() {
                                th.text[index < 2] { (head.of(lang)) }
                            }
                        }
                    }
                    tbody {
                        @for one in &standings.hospitals {
                            tr {
                                td.text { (one.hospital) }
                                td.text { (tier(&one.tier, lang)) }
                                td { (one.sums.map_or_else(|| DASH.to_owned(), |_| count(one.stays))) }
                                td { (fixed(one.sums.map(|sums| sums.observed), 1)) }
                                td { (fixed(one.sums.map(|sums| sums.expected), 1)) }
                                td { (fixed(one.ratio.map(|ratio| ratio.ratio), 3)) }
                                td {
                                    (fixed(one.ratio.map(|ratio| ratio.lower), 3)) " – "
                                    (fixed(one.ratio.map(|ratio| ratio.upper), 3))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
