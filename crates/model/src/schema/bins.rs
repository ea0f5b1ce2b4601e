//! The bins in which a column's values are counted for percentiles.
//!
//! Bins are public and the same in every hospital and every question, so that counts add up and no
//! two questions can shift them. They are no finer than conditions on the column may be: a
//! histogram must not cut where `WHERE` may not. Whole numbers have a bin each up to [`UNITS`];
//! larger ones, and amounts, have the steps of the E24 series of preferred numbers (IEC 60063: 24
//! steps a decade, each about 10 % above the last).

use super::{Column, Grain};

const LOS_DAYS: &str = "los_days";

/// Whole numbers up to this one have a bin each.
pub const UNITS: i64 = 60;
/// Bins of ages, in years; everybody from [`TOP_AGE`] on is in one.
pub const AGE_STEP: i64 = 5;
/// Where the last bin of ages begins.
pub const TOP_AGE: i64 = 90;
/// Bins of amounts begin at multiples of this, in whole units of currency.
pub const AMOUNT_STEP: i64 = 100;

/// E24 between 10 and 100.
const E24: [i64; 24] = [
    10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 39, 43, 47, 51, 56, 62, 68, 75, 82, 91,
];

/// The numbers of E24 above `from` up to `to`, ascending.
fn preferred(from: i64, to: i64) -> impl Iterator<Item = i64> {
    let decades = std::iter::successors(Some(1i64), |decade| decade.checked_mul(10));
    let all = decades.flat_map(|decade| E24.map(|number| number.checked_mul(decade)));
    all.map_while(move |number| number.filter(|number| *number <= to))
        .filter(move |number| *number > from)
}

fn multiples(step: i64, to: i64) -> impl Iterator<Item = i64> {
    (1..).map(move |factor| factor * step).take_while(move |edge| *edge <= to)
}

impl Column {
    /// The least value that is told apart. An amount below zero counts as zero; a stay that a source
    /// gives no day counts as the one day that a stay on the same day has.
    fn least(&self, low: i64) -> i64 {
        match self.grain {
            Grain::Amount => low.max(0),
            _ if self.name == LOS_DAYS => low.max(1),
            _ => low,
        }
    }

    /// Where the second and each further bin of the column begins, ascending, in the column's own
    /// unit; the first bin holds everything below. `None` for columns that are no measured number.
    #[must_use]
    pub fn bin_edges(&self) -> Option<Vec<i64>> {
        let (low, high) = self.bounds?;
        Some(match self.grain {
            Grain::Whole => (self.least(low) + 1..=UNITS).chain(preferred(UNITS, high)).collect(),
            Grain::AgeBand => multiples(AGE_STEP, TOP_AGE).collect(),
            Grain::Step(step) => multiples(step, high).filter(|edge| *edge > low).collect(),
            Grain::Amount => {
                let edges = preferred(AMOUNT_STEP - 1, high);
                edges.filter(|edge| edge % AMOUNT_STEP == 0).collect()
            }
            Grain::Code | Grain::Month | Grain::None => return None,
        })
    }

    /// Between what values percentiles of the column lie, in its own unit: from the least value that
    /// is told apart to its upper bound.
    #[must_use]
    pub fn bin_bounds(&self) -> Option<(i64, i64)> {
        let (low, high) = self.bounds?;
        Some((self.least(low), high))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TABLES, table};

    fn edges(name: &str) -> Vec<i64> {
        table("stay").unwrap().column(name).unwrap().bin_edges().unwrap()
    }

    #[test]
    fn a_day_has_a_bin_of_its_own_up_to_sixty() {
        let days = edges("los_days");
        assert_eq!(days[..59], (2..=60).collect::<Vec<_>>());
        assert_eq!(days[59..64], [62, 68, 75, 82, 91]);
        assert_eq!(days[64..69], [100, 110, 120, 130, 150]);
        assert_eq!(days.last(), Some(&3_600));
    }

    #[test]
    fn amounts_have_the_steps_of_e24_that_conditions_may_name() {
        let amounts = edges("total_cost");
        assert_eq!(amounts[..5], [100, 200, 300, 1_000, 1_100]);
        assert_eq!(amounts.last(), Some(&100_000_000));
        // IEC 60063: neighbours are a twenty-fourth of a decade apart, rounded to two digits.
        for pair in amounts[3..].windows(2) {
            let (percent, step) = (pair[1] * 100 / pair[0], pair);
            assert!((106..=115).contains(&percent), "{step:?}");
        }
    }

    #[test]
    fn ages_and_weights_have_no_finer_bins_than_conditions() {
        assert_eq!(edges("age_years"), (1..=18).map(|band| band * 5).collect::<Vec<_>>());
        assert_eq!(edges("age_days")[..3], [7, 14, 21]);
        assert_eq!(edges("birth_weight_g")[..2], [500, 1_000]);
    }

    #[test]
    fn every_measured_number_has_ascending_bins_within_its_bounds() {
        for column in TABLES.iter().flat_map(|table| table.columns) {
            let Some(edges) = column.bin_edges() else {
                assert!(column.bounds.is_none(), "{}", column.name);
                continue;
            };
            let (low, high) = column.bounds.unwrap();
            assert!(edges.is_sorted_by(|a, b| a < b), "{}", column.name);
            assert!(edges.iter().all(|edge| (low + 1..=high).contains(edge)), "{}", column.name);
            assert!((10..250).contains(&edges.len()), "{}: {}", column.name, edges.len());
        }
    }
}
