//! Text in drawings: how wide it is, what of it fits, and where it covers nothing.
//!
//! There is no font here, so widths are estimates on the safe side: wide characters count as one
//! em, capitals and digits as two thirds.

use super::figures::real;

/// Height of a line of text, in units of its size.
const LINE: f64 = 1.15;
/// Distances from a mark at which its label is tried, in pixels.
const DISTANCES: [f64; 4] = [3.0, 10.0, 20.0, 32.0];
/// Directions in which it is tried, best first: right, left, above, below, then the corners.
const DIRECTIONS: [(f64, f64); 8] = [
    (1.0, 0.0),
    (-1.0, 0.0),
    (0.0, -1.0),
    (0.0, 1.0),
    (0.75, -0.75),
    (-0.75, -0.75),
    (0.75, 0.75),
    (-0.75, 0.75),
];

/// A rectangle; `y` grows downwards.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    /// Left.
    pub(super) x: f64,
    /// Top.
    pub(super) y: f64,
    /// Width.
    pub(super) w: f64,
    /// Height.
    pub(super) h: f64,
}

impl Area {
    /// The square around a mark.
    pub(super) fn around(x: f64, y: f64, radius: f64) -> Self {
        Self { x: x - radius, y: y - radius, w: 2.0 * radius, h: 2.0 * radius }
    }

    fn meets(&self, other: &Self) -> bool {
        self.x < other.x + other.w
            && other.x < self.x + self.w
            && self.y < other.y + other.h
            && other.y < self.y + self.h
    }

    fn holds(&self, other: &Self) -> bool {
        other.x >= self.x
            && other.y >= self.y
            && other.x + other.w <= self.x + self.w
            && other.y + other.h <= self.y + self.h
    }
}

/// A mark that wants a label.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    /// Middle of the mark.
    pub(super) x: f64,
    /// Middle of the mark.
    pub(super) y: f64,
    /// Its radius.
    pub(super) radius: f64,
    /// Width of the label's text.
    pub(super) width: f64,
    /// Size of the label's text.
    pub(super) size: f64,
}

/// A label that covers nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    /// What the text covers.
    pub(super) area: Area,
    /// Whether it is so far from its mark that a line must join them.
    pub(super) far: bool,
}

/// Where labels may be.
#[derive(Debug)]
pub(super) struct Room<'a> {
    /// Every label is inside.
    pub(super) inside: Area,
    /// No label covers one of these.
    pub(super) obstacles: &'a [Area],
    /// A label covers one of these only when there is no other place beside its mark.
    pub(super) lines: &'a [Area],
}

/// Places a label for each spot in turn, so the important ones come first. A label covers no mark,
/// no earlier label and no obstacle, and stays inside; one with no such place is `None`.
pub(super) fn place(spots: &[Spot], room: &Room<'_>) -> Vec<Option<Placed>> {
    let marks = spots.iter().map(|spot| Area::around(spot.x, spot.y, spot.radius));
    let mut taken: Vec<Area> = room.obstacles.iter().copied().chain(marks).collect();
    let mut placed = Vec::with_capacity(spots.len());
    for spot in spots {
        let free = |candidate: &Placed| {
            room.inside.holds(&candidate.area)
                && !taken.iter().any(|other| other.meets(&candidate.area))
        };
        let clear = |candidate: &Placed| {
            !candidate.far && !room.lines.iter().any(|line| line.meets(&candidate.area))
        };
        let best = candidates(spot).find(|candidate| clear(candidate) && free(candidate));
        let found = best.or_else(|| candidates(spot).find(free));
        taken.extend(found.map(|found| found.area));
        placed.push(found);
    }
    placed
}

fn candidates(spot: &Spot) -> impl Iterator<Item = Placed> {
    let (spot, h) = (*spot, spot.size * LINE);
    DISTANCES.into_iter().enumerate().flat_map(move |(turn, distance)| {
        DIRECTIONS.into_iter().map(move |(dx, dy)| {
            let away = spot.radius + distance;
            let x = spot.x + dx * away + (dx.signum() - 1.0) * 0.5 * spot.width;
            let x = if dx.abs() < 0.1 { spot.x - spot.width / 2.0 } else { x };
            let y = spot.y + dy * away + (dy.signum() - 1.0) * 0.5 * h;
            let y = if dy.abs() < 0.1 { spot.y - h / 2.0 } else { y };
            Placed { area: Area { x, y, w: spot.width, h }, far: turn > 0 }
        })
    })
}

/// An estimate of how wide a text of a size is.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(em).sum::<f64>() * size
}

fn em(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | 'I' | ' ' | '.' | ',' | ':' | ';' | '\'' | '|' => 0.34,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.92,
        c if c.is_ascii_uppercase() || c.is_ascii_digit() => 0.66,
        c if c < '\u{1100}' => 0.58,
        _ => 1.0,
    }
}

/// The text, or as much of its beginning as fits with an ellipsis.
pub(super) fn fit(text: &str, size: f64, most: f64) -> String {
    if width(text, size) <= most {
        return text.to_owned();
    }
    let mut used = em('…') * size;
    let kept = text.chars().take_while(|c| {
        used += em(*c) * size;
        used <= most
    });
    let kept: String = kept.collect();
    format!("{}…", kept.trim_end())
}

/// Positions of items in lines of a width: left edge and number of the line of each.
pub(super) fn flow(widths: &[f64], most: f64) -> Vec<(f64, f64)> {
    let (mut x, mut line) = (0.0, 0_usize);
    let places = widths.iter().map(|width| {
        if x > 0.0 && x + width > most {
            (x, line) = (0.0, line + 1);
        }
        let place = (x, real(line));
        x += width;
        place
    });
    places.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cover_nothing_and_stay_inside() {
        let inside = Area { x: 0.0, y: 0.0, w: 400.0, h: 300.0 };
        let obstacle = Area { x: 0.0, y: 0.0, w: 80.0, h: 20.0 };
        let spots: Vec<_> = (0..50)
            .map(|n| {
                let (x, y) = (f64::from(n * 37 % 400), f64::from(n * 91 % 300));
                Spot { x, y, radius: 4.0, width: 30.0, size: 10.0 }
            })
            .collect();
        let line = Area { x: 199.0, y: 0.0, w: 2.0, h: 300.0 };
        let room = Room { inside, obstacles: &[obstacle], lines: &[line] };
        let placed = place(&spots, &room);
        let areas: Vec<_> = placed.iter().flatten().map(|placed| placed.area).collect();
        assert!(areas.len() > 40, "{} of 50 labels have a place", areas.len());
        for (index, area) in areas.iter().enumerate() {
            assert!(inside.holds(area) && !area.meets(&obstacle));
            assert!(areas.iter().skip(index + 1).all(|other| !other.meets(area)));
            assert!(!spots.iter().any(|s| Area::around(s.x, s.y, s.radius).meets(area)));
        }
    }

    #[test]
    fn a_crowd_loses_labels_rather_than_readability() {
        let inside = Area { x: 0.0, y: 0.0, w: 100.0, h: 100.0 };
        let spot = Spot { x: 50.0, y: 50.0, radius: 5.0, width: 40.0, size: 10.0 };
        let placed = place(&[spot; 60], &Room { inside, obstacles: &[], lines: &[] });
        assert!(placed[0].is_some() && placed[59].is_none());
    }

    #[test]
    fn text_fits_or_says_that_it_goes_on() {
        assert_eq!(fit("short", 10.0, 100.0), "short");
        let long = fit(&"x".repeat(200), 10.0, 100.0);
        assert!(long.ends_with('…') && width(&long, 10.0) <= 100.0, "{long}");
        let wide = fit(&"阑尾切除术".repeat(9), 10.0, 100.0);
        assert_eq!(wide.chars().count(), 10);
        assert_eq!(fit("abc", 10.0, 0.0), "…");
        assert_eq!(flow(&[40.0, 40.0, 40.0], 100.0), [(0.0, 0.0), (40.0, 0.0), (0.0, 1.0)]);
    }
}
