//! Axes: from values to positions, with ticks at 1, 2 and 5 times powers of ten.
//!
//! A scale always has a width: equal values are given room around them, so that no position is
//! ever divided by zero.

/// From this ratio of the largest to the smallest value on, an axis is logarithmic.
const LOG_FROM: f64 = 8.0;
/// About as many ticks as an axis should have.
const TARGET: f64 = 8.0;
/// No axis has more ticks.
const MOST: usize = 12;
/// Fewer powers than these do not make a readable logarithmic axis.
const FEWEST: usize = 3;
/// Larger values are told in tables only.
const LARGEST: f64 = 1e15;

/// How distances relate to values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Equal differences are equally long.
    Linear,
    /// Equal ratios are equally long.
    Log,
}

/// An axis from `low..=high` to `from..=to`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    kind: Kind,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// An axis with room for all values, or `None` when there is none to show. Logarithmic when
    /// the values are positive and far apart.
    pub(super) fn over(values: &[f64], from: f64, to: f64) -> Option<Self> {
        let shown = values.iter().copied().filter(|value| drawable(*value));
        let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return None;
        }
        let kind = if low > 0.0 && high / low >= LOG_FROM { Kind::Log } else { Kind::Linear };
        let (low, high) = match kind {
            Kind::Log => {
                let room = (high / low).powf(0.03);
                (low / room, high * room)
            }
            Kind::Linear => {
                let room = (high - low) * 0.04;
                // Equal values: a tenth of their size on both sides, or one around zero.
                let least = if high.abs() > f64::MIN_POSITIVE { high.abs() * 0.1 } else { 1.0 };
                let room = if room > high.abs() * 1e-9 { room } else { least };
                (low - room, high + room)
            }
        };
        Some(Self { kind, low, high, from, to })
    }

    /// How distances relate to values.
    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether a value lies on the axis.
    pub(super) fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Where a value is; values beyond the ends are at the ends.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        let part = match self.kind {
            Kind::Linear => (value - self.low) / (self.high - self.low),
            Kind::Log => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        part.mul_add(self.to - self.from, self.from)
    }

    /// Round values inside the axis, in ascending order.
    pub(super) fn ticks(&self) -> Vec<f64> {
        match self.kind {
            Kind::Linear => self.even(),
            Kind::Log => {
                let all = self.powers(&[1.0, 2.0, 5.0]);
                let ticks = if all.len() > MOST { self.powers(&[1.0]) } else { all };
                if ticks.len() < FEWEST { self.even() } else { ticks }
            }
        }
    }

    fn even(&self) -> Vec<f64> {
        let step = step((self.high - self.low) / TARGET);
        let first = (self.low / step).ceil();
        let ticks = std::iter::successors(Some(first), |count| Some(count + 1.0));
        // Adding zero turns a negative zero into zero.
        ticks.take(2 * MOST).map(|n| n * step + 0.0).take_while(|tick| *tick <= self.high).collect()
    }

    fn powers(&self, multiples: &[f64]) -> Vec<f64> {
        let first = self.low.log10().floor();
        let powers = std::iter::successors(Some(first), |power| Some(power + 1.0))
            .take_while(|power| *power <= self.high.log10());
        let ticks = powers.flat_map(|power| multiples.iter().map(move |n| n * 10_f64.powf(power)));
        ticks.filter(|tick| self.holds(*tick)).collect()
    }
}

/// Whether a value can have a place on an axis.
pub(super) fn drawable(value: f64) -> bool {
    value.is_finite() && value.abs() <= LARGEST
}

/// The value, when it can be drawn.
pub(super) fn shown(value: Option<f64>) -> Option<f64> {
    value.filter(|value| drawable(*value))
}

/// The smallest of 1, 2, 5 times a power of ten that is at least `raw`.
fn step(raw: f64) -> f64 {
    let power = 10_f64.powf(raw.log10().floor());
    let digit = raw / power;
    let nice = [1.0, 2.0, 5.0].into_iter().find(|nice| digit <= nice * (1.0 + 1e-9));
    nice.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: &[f64], expected: &[f64]) -> bool {
        found.len() == expected.len()
            && found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9 * b.abs().max(1.0))
    }

    #[test]
    fn ticks_are_one_two_five() {
        for (raw, nice) in
            [(0.9, 1.0), (1.0, 1.0), (1.1, 2.0), (3.0, 5.0), (7.0, 10.0), (0.03, 0.05)]
        {
            assert!(near(&[step(raw)], &[nice]), "{raw}");
        }
        let linear = Scale::over(&[0.8, 1.2], 0.0, 100.0).unwrap();
        assert_eq!(linear.kind(), Kind::Linear);
        assert!(near(&linear.ticks(), &[0.8, 0.9, 1.0, 1.1, 1.2]), "{:?}", linear.ticks());
        let log = Scale::over(&[900.0, 60_000.0], 0.0, 100.0).unwrap();
        assert_eq!(log.kind(), Kind::Log);
        let expected = [1e3, 2e3, 5e3, 1e4, 2e4, 5e4];
        assert!(near(&log.ticks(), &expected), "{:?}", log.ticks());
        let wide = Scale::over(&[1e-6, 1e9], 0.0, 1.0).unwrap().ticks();
        assert!(wide.len() <= 16 && wide.iter().all(|tick| tick.is_finite()), "{wide:?}");
    }

    #[test]
    fn every_axis_has_a_width() {
        for values in [&[5.0, 5.0][..], &[0.0], &[-3.0], &[1e15], &[-1e15, 1e15], &[1e-300]] {
            let scale = Scale::over(values, 10.0, 90.0).unwrap();
            for value in values {
                let at = scale.at(*value);
                assert!((10.0..=90.0).contains(&at), "{values:?}: {at}");
            }
            assert!(scale.ticks().len() <= 2 * MOST);
        }
        let one = Scale::over(&[5.0], 0.0, 100.0).unwrap();
        assert!((one.at(5.0) - 50.0).abs() < 1e-9 && !one.ticks().is_empty());
        assert!(Scale::over(&[f64::NAN, f64::INFINITY, 1e16], 0.0, 1.0).is_none());
        assert!(Scale::over(&[], 0.0, 1.0).is_none());
    }

    #[test]
    fn positions_keep_order_and_ends() {
        for values in [[1.0, 2.0, 3.0], [1.0, 50.0, 4_000.0]] {
            let scale = Scale::over(&values, 100.0, 0.0).unwrap();
            let at = values.map(|value| scale.at(value));
            assert!(at[0] > at[1] && at[1] > at[2], "a falling axis: {at:?}");
            assert!(scale.at(1e9).abs() < 1e-9 && (scale.at(-1e9) - 100.0).abs() < 1e-9);
        }
    }
}
