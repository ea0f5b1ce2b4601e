//! What ingest adds to a stay by itself: length of stay from the dates, and bands.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Int32Array, TimestampSecondArray};
use arrow::datatypes::{Int32Type, TimestampSecondType};

use super::dictionary::Dictionary;
use super::error::IngestError;
use super::parse::day;
use super::quarantine::{Rule, ValueClass};
use super::shape::{Origin, Shape};
use super::typing::Faults;

/// Upper ends of the length-of-stay bands in days, and their names.
const LOS_BANDS: &[(i32, &str)] =
    &[(1, "1"), (3, "2-3"), (7, "4-7"), (14, "8-14"), (30, "15-30"), (60, "31-60")];
const LOS_TOP: &str = "61+";
/// First age of the open top band, in years.
const AGE_TOP: i32 = 90;
const AGE_BAND_YEARS: i32 = 5;

/// Completes a batch of stays.
pub(crate) fn complete(
    shape: &Shape,
    columns: &mut [ArrayRef],
    dictionaries: &mut [Dictionary],
    faults: &mut Faults,
) -> Result<(), IngestError> {
    let at = |name| shape.position(name).unwrap_or_default();
    let (admitted, discharged) = (at("admitted_at"), at("discharged_at"));
    let (los, los_band) = (at("los_days"), at("los_band"));
    let (age, age_band) = (at("age_years"), at("age_band"));
    let days = length_of_stay(
        columns[admitted].as_primitive::<TimestampSecondType>(),
        columns[discharged].as_primitive::<TimestampSecondType>(),
        columns[los].as_primitive::<Int32Type>(),
        faults,
    );
    columns[los] = Arc::new(days);
    for (number, band, name) in [
        (los, los_band, los_name as fn(i32) -> String),
        (age, age_band, age_name as fn(i32) -> String),
    ] {
        if shape.origins[band] == Origin::Absent {
            let numbers = columns[number].as_primitive::<Int32Type>();
            columns[band] = bands(numbers, &mut dictionaries[band], name)?;
        }
    }
    Ok(())
}

/// Length of stay: as given when it agrees with the dates, else from the dates; the same day is 1.
fn length_of_stay(
    admitted: &TimestampSecondArray,
    discharged: &TimestampSecondArray,
    given: &Int32Array,
    faults: &mut Faults,
) -> Int32Array {
    let contradiction = |rule| (rule, ValueClass::Contradiction);
    let days = (0..given.len()).map(|row| {
        let stated = given.is_valid(row).then(|| given.value(row));
        if admitted.is_null(row) || discharged.is_null(row) {
            return stated;
        }
        let (from, to) = (admitted.value(row), discharged.value(row));
        if to < from {
            let fault = contradiction(Rule::DischargeBeforeAdmission);
            faults.mark(row, "discharged_at", fault);
            return None;
        }
        let between = i32::try_from(day(to) - day(from)).unwrap_or(i32::MAX).max(1);
        if stated.is_some_and(|stated| stated.max(1) != between) {
            faults.mark(row, "los_days", contradiction(Rule::LosDisagrees));
            return None;
        }
        Some(between)
    });
    days.collect()
}

fn bands(
    numbers: &Int32Array,
    dictionary: &mut Dictionary,
    name: fn(i32) -> String,
) -> Result<ArrayRef, IngestError> {
    // Ages and lengths of stay are small and repeat: one name and code for each number.
    let mut codes: Vec<Option<i32>> = Vec::new();
    let mut banded: Vec<Option<i32>> = Vec::with_capacity(numbers.len());
    for number in numbers {
        let Some(number) = number else {
            banded.push(None);
            continue;
        };
        let place = usize::try_from(number).unwrap_or(0);
        if codes.len() <= place {
            codes.resize(place + 1, None);
        }
        let code = match codes[place] {
            Some(code) => code,
            None => *codes[place].insert(dictionary.code(&name(number))?),
        };
        banded.push(Some(code));
    }
    Ok(Arc::new(Int32Array::from(banded)))
}

fn los_name(days: i32) -> String {
    let band = LOS_BANDS.iter().find(|(end, _)| days <= *end);
    band.map_or(LOS_TOP, |(_, name)| name).to_owned()
}

fn age_name(years: i32) -> String {
    if years >= AGE_TOP {
        return format!("{AGE_TOP}+");
    }
    let start = years.max(0) / AGE_BAND_YEARS * AGE_BAND_YEARS;
    format!("{start:02}-{:02}", start + AGE_BAND_YEARS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_named_by_their_ends() {
        let los = [(0, "1"), (1, "1"), (2, "2-3"), (7, "4-7"), (8, "8-14"), (30, "15-30")];
        for (days, name) in los.into_iter().chain([(60, "31-60"), (61, "61+"), (3_660, "61+")]) {
            assert_eq!(los_name(days), name);
        }
        for (years, name) in [(0, "00-04"), (4, "00-04"), (5, "05-09"), (89, "85-89")] {
            assert_eq!(age_name(years), name);
        }
        assert_eq!((age_name(90), age_name(130)), ("90+".to_owned(), "90+".to_owned()));
    }

    #[test]
    fn length_of_stay_follows_the_dates() {
        let at = |days: &[Option<i64>]| -> TimestampSecondArray {
            days.iter().map(|d| d.map(|d| d * 86_400)).collect()
        };
        let admitted = at(&[Some(1), Some(1), Some(1), Some(5), Some(1), None]);
        let discharged = at(&[Some(1), Some(4), Some(4), Some(4), Some(1), Some(9)]);
        let given = Int32Array::from(vec![Some(0), None, Some(4), None, Some(1), Some(7)]);
        let mut faults = Faults::new(6);
        let days = length_of_stay(&admitted, &discharged, &given, &mut faults);
        let days: Vec<_> = days.iter().collect();
        assert_eq!(days, [Some(1), Some(3), None, None, Some(1), Some(7)]);
        let rules: Vec<_> = faults.list().iter().map(|(row, _, f)| (*row, f.0)).collect();
        assert_eq!(rules, [(2, Rule::LosDisagrees), (3, Rule::DischargeBeforeAdmission)]);
    }
}
