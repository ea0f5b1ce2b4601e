//! Hospitals by cost index and time index: who is dear, who is slow, and how large they are.

use maud::{Markup, html};
use model::casemix::benchmark::{Benchmark, HospitalRow};

use super::figures::{at, count, fixed, real, ticks};
use super::frame::{self, WIDTH};
use super::labels::{Area, Placed, Room, Spot, fit, place, width};
use super::scale::{Scale, shown};
use super::text::{Text, tier};
use crate::message::Lang;

/// The plot inside the drawing.
const PLOT: Area = Area { x: 56.0, y: 40.0, w: WIDTH - 56.0, h: 540.0 };
const HEIGHT: f64 = 630.0;
/// Radius of the mark of the hospital with most stays, and the smallest.
const RADII: (f64, f64) = (15.0, 3.5);
const SIZE: f64 = 11.0;
const CAPTION: f64 = 13.0;
/// When a name is wider, all marks have numbers instead: names cut short are not told apart.
const NAME: f64 = 80.0;
/// No more hospitals are named on the drawing.
const MOST: usize = 150;
/// A scale is never narrower than this around 1, or noise would look like a difference.
const AROUND: [f64; 2] = [0.9, 1.1];

/// A hospital with both indices.
struct Mark<'a> {
    hospital: &'a HospitalRow,
    label: String,
    cost: f64,
    time: f64,
    x: f64,
    y: f64,
    radius: f64,
}

/// Whether names are too long for the drawing, so that marks have the numbers of the table.
pub(super) fn numbered(benchmark: &Benchmark) -> bool {
    benchmark.hospitals.iter().any(|hospital| width(&hospital.hospital_id, SIZE) > NAME)
}

/// The section with the chart, or with a sentence when no hospital has both indices.
pub(super) fn section(benchmark: &Benchmark, lang: Lang) -> Markup {
    let hospitals = benchmark.hospitals.iter().zip(1_usize..);
    let both = hospitals.filter_map(|(hospital, number)| {
        Some((hospital, shown(hospital.cost_index)?, shown(hospital.time_index)?, number))
    });
    let both: Vec<_> = both.collect();
    let values = |of: fn(&(&HospitalRow, f64, f64, usize)) -> f64| -> Vec<f64> {
        both.iter().map(of).chain(AROUND).collect()
    };
    // Marks keep clear of the edges by the radius of the largest.
    let room = RADII.0 + 3.0;
    let x = Scale::over(&values(|found| found.1), PLOT.x + room, PLOT.x + PLOT.w - room);
    let y = Scale::over(&values(|found| found.2), PLOT.y + PLOT.h - room, PLOT.y + room);
    let title = Text::HospitalsTitle.of(lang);
    let (Some(x), Some(y), false) = (x, y, both.is_empty()) else {
        return frame::section("hospitals", title, Text::HospitalsNone.of(lang), None);
    };
    let largest = both.iter().map(|(hospital, ..)| hospital.stays).max().unwrap_or(0);
    let numbered = numbered(benchmark);
    let mut marks: Vec<_> = both
        .into_iter()
        .map(|(hospital, cost, time, number)| {
            let radius = radius(hospital.stays, largest);
            let label = if numbered { number.to_string() } else { hospital.hospital_id.clone() };
            Mark { hospital, label, cost, time, x: x.at(cost), y: y.at(time), radius }
        })
        .collect();
    // Large marks first, so that small ones lie on top.
    marks.sort_by(|a, b| b.radius.total_cmp(&a.radius));
    let absent = benchmark.hospitals.len() - marks.len();
    let (drawn, unlabelled) = chart(&marks, lang, (&x, &y), largest);
    let mut lead = vec![Text::HospitalsLead.of(lang).to_owned()];
    lead.extend(numbered.then(|| Text::Numbered.of(lang).to_owned()));
    lead.extend((absent > 0).then(|| Text::NotDrawn.fill(lang, &[&absent])));
    lead.extend((unlabelled > 0).then(|| Text::Unlabelled.fill(lang, &[&unlabelled])));
    frame::section(
        "hospitals",
        title,
        &lead.join(if lang == Lang::En { " " } else { "" }),
        Some(drawn),
    )
}

/// Area in proportion to stays.
fn radius(stays: u64, largest: u64) -> f64 {
    let part = if largest == 0 { 0.0 } else { real(stays) / real(largest) };
    (part.sqrt() * RADII.0).max(RADII.1)
}

fn chart(
    marks: &[Mark<'_>],
    lang: Lang,
    (x, y): (&Scale, &Scale),
    largest: u64,
) -> (Markup, usize) {
    let one = (x.at(1.0), y.at(1.0));
    let captions = captions(lang, one);
    let labels = labels(marks, &captions, one);
    let unlabelled = marks.len() - labels.len();
    let title = Text::HospitalsTitle.of(lang);
    let drawn = frame::drawing(
        "hospitals",
        title,
        Text::HospitalsLead.of(lang),
        HEIGHT,
        &html! {
            (key(marks, lang, largest))
            (grid(lang, x, y))
            @for (area, text, anchor) in &captions {
                @let x = if *anchor == "end" { area.x + area.w } else { area.x };
                text class="caption" x=(at(x)) y=(at(area.y + CAPTION)) text-anchor=(anchor) { (text) }
            }
            @for (mark, placed) in labels.iter().filter(|(_, placed)| placed.far) {
                (leader(mark, &placed.area))
            }
            @for mark in marks {
                (shape(&mark.hospital.tier, (mark.x, mark.y), mark.radius, "mark", &tooltip(mark, lang)))
            }
            @for (mark, Placed { area, .. }) in &labels {
                text class="label" x=(at(area.x)) y=(at(area.y + SIZE)) { (mark.label) }
            }
        },
    );
    (drawn, unlabelled)
}

/// Names that found a place. Hospitals far from what is expected come first.
fn labels<'a>(
    marks: &'a [Mark<'a>],
    captions: &[(Area, &str, &str)],
    one: (f64, f64),
) -> Vec<(&'a Mark<'a>, Placed)> {
    let mut order: Vec<_> = marks.iter().collect();
    let far = |mark: &Mark<'_>| (mark.cost - 1.0).hypot(mark.time - 1.0);
    order.sort_by(|a, b| far(b).total_cmp(&far(a)));
    let spots = order.iter().map(|mark| {
        let width = width(&mark.label, SIZE).max(1.0);
        Spot { x: mark.x, y: mark.y, radius: mark.radius + 1.0, width, size: SIZE }
    });
    let spots: Vec<_> = spots.collect();
    // Those that are not named are still not covered.
    let named = spots.len().min(MOST);
    let (named, rest) = spots.split_at(named);
    let rest = rest.iter().map(|spot| Area::around(spot.x, spot.y, spot.radius));
    let obstacles: Vec<_> = captions.iter().map(|(area, ..)| *area).chain(rest).collect();
    let lines = [Area { x: one.0 - 1.0, w: 2.0, ..PLOT }, Area { y: one.1 - 1.0, h: 2.0, ..PLOT }];
    let placed = place(named, &Room { inside: PLOT, obstacles: &obstacles, lines: &lines });
    let found = order.into_iter().zip(placed);
    found.filter_map(|(mark, placed)| Some((mark, placed?))).collect()
}

/// Captions in the corners that have room for them.
fn captions(lang: Lang, (x, y): (f64, f64)) -> Vec<(Area, &'static str, &'static str)> {
    let (right, bottom) = (PLOT.x + PLOT.w, PLOT.y + PLOT.h);
    let all = [
        (Text::CheapLong, false, true),
        (Text::DearLong, true, true),
        (Text::CheapShort, false, false),
        (Text::DearShort, true, false),
    ];
    let placed = all.into_iter().filter_map(|(text, dear, long)| {
        let text = text.of(lang);
        let (w, h) = (width(text, CAPTION), CAPTION * 1.3);
        let left = if dear { right - w - 8.0 } else { PLOT.x + 8.0 };
        let top = if long { PLOT.y + 5.0 } else { bottom - h - 5.0 };
        let wide = if dear { right - x } else { x - PLOT.x };
        let high = if long { y - PLOT.y } else { bottom - y };
        let fits = wide > w + 12.0 && high > h + 8.0;
        fits.then_some((Area { x: left, y: top, w, h }, text, if dear { "end" } else { "start" }))
    });
    placed.collect()
}

fn grid(lang: Lang, x: &Scale, y: &Scale) -> Markup {
    let (right, bottom) = (PLOT.x + PLOT.w, PLOT.y + PLOT.h);
    let (across, up) = (x.ticks(), y.ticks());
    let one = (x.at(1.0), y.at(1.0));
    html! {
        rect class="dear" x=(at(one.0)) y=(at(PLOT.y)) width=(at(right - one.0)) height=(at(one.1 - PLOT.y)) {}
        rect class="cheap" x=(at(PLOT.x)) y=(at(one.1)) width=(at(one.0 - PLOT.x)) height=(at(bottom - one.1)) {}
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
        line class="one" x1=(at(one.0)) x2=(at(one.0)) y1=(at(PLOT.y)) y2=(at(bottom)) {}
        line class="one" x1=(at(PLOT.x)) x2=(at(right)) y1=(at(one.1)) y2=(at(one.1)) {}
        text class="axis" x=(at(PLOT.x + PLOT.w / 2.0)) y=(at(bottom + 38.0)) text-anchor="middle" {
            (Text::CostIndex.of(lang)) " →"
        }
        text class="axis" text-anchor="middle"
            transform=(format!("translate(13 {}) rotate(-90)", at(PLOT.y + PLOT.h / 2.0))) {
            (Text::TimeIndex.of(lang)) " →"
        }
    }
}

fn leader(mark: &Mark<'_>, label: &Area) -> Markup {
    let x = mark.x.clamp(label.x, label.x + label.w);
    let y = mark.y.clamp(label.y + 1.0, label.y + label.h - 1.0);
    html! { line class="leader" x1=(at(mark.x)) y1=(at(mark.y)) x2=(at(x)) y2=(at(y)) {} }
}

/// Which shapes and sizes mean what, on one line above the plot.
fn key(marks: &[Mark<'_>], lang: Lang, largest: u64) -> Markup {
    const KNOWN: [&str; 3] = ["tertiary", "secondary", "primary"];
    let used = |known: &&str| marks.iter().any(|mark| mark.hospital.tier == **known);
    let other = marks.iter().find(|mark| !KNOWN.contains(&mark.hospital.tier.as_str()));
    let other = other.map(|mark| mark.hospital.tier.as_str());
    let mut x = PLOT.x + 6.0;
    let tiers = KNOWN.into_iter().filter(used).chain(other).map(|found| {
        let (text, place) = (fit(tier(found, lang), 12.0, 160.0), x);
        x += width(&text, 12.0) + 40.0;
        (found, text, place)
    });
    let tiers: Vec<_> = tiers.collect();
    let sizes = [largest, largest / 4].map(|stays| {
        let (text, radius, place) =
            (Text::AreaKey.fill(lang, &[&count(stays)]), radius(stays, largest), x);
        x += width(&text, 12.0) + 2.0 * RADII.0 + 24.0;
        (text, radius, place + RADII.0)
    });
    html! {
        @for (found, text, x) in &tiers {
            (shape(found, (*x, 16.0), 5.5, "sample", text))
            text class="name" x=(at(x + 12.0)) y="20" { (text) }
        }
        @for (text, radius, x) in &sizes {
            circle class="size" cx=(at(*x)) cy="16" r=(at(*radius)) {}
            text class="name" x=(at(x + RADII.0 + 5.0)) y="20" { (text) }
        }
    }
}

/// A mark of the same area in every shape: tiers are told apart without colour too.
fn shape(tier: &str, (x, y): (f64, f64), radius: f64, class: &str, title: &str) -> Markup {
    let polygon = |corners: &[(f64, f64)]| {
        let points = corners
            .iter()
            .map(|(dx, dy)| format!("{},{}", at(dx.mul_add(radius, x)), at(dy.mul_add(radius, y))));
        points.collect::<Vec<_>>().join(" ")
    };
    html! {
        @match tier {
            "tertiary" => circle class={ (class) " tertiary" } cx=(at(x)) cy=(at(y)) r=(at(radius)) {
                title { (title) }
            },
            "secondary" => {
                @let side = 1.772 * radius;
                rect class={ (class) " secondary" } x=(at(x - side / 2.0)) y=(at(y - side / 2.0))
                    width=(at(side)) height=(at(side)) { title { (title) } }
            }
            "primary" => polygon class={ (class) " primary" }
                points=(polygon(&[(0.0, -1.4), (1.28, 0.85), (-1.28, 0.85)])) { title { (title) } },
            _ => polygon class={ (class) " untold" }
                points=(polygon(&[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)])) {
                title { (title) }
            },
        }
    }
}

fn tooltip(mark: &Mark<'_>, lang: Lang) -> String {
    format!(
        "{} · {} · {} {}\n{} {} · {} {}",
        mark.hospital.hospital_id,
        tier(&mark.hospital.tier, lang),
        count(mark.hospital.stays),
        Text::Stays.of(lang),
        Text::CostIndex.of(lang),
        fixed(Some(mark.cost), 3),
        Text::TimeIndex.of(lang),
        fixed(Some(mark.time), 3),
    )
}
