//! A year and three of its quarters: each is about many, any two differ by many, and together they tell what the
//! fourth withheld. So does an open end beside a closed one.

use std::sync::Arc;

use model::RefusalCode;
use privacy::Policy;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use tests::Region;
use tests::fixture::{self, Stay};

use super::usage::restart;
use super::{SCHEME, SPREAD, hospital_under, refusal, spread_under, stays};

/// Four stays of the first group in the last quarter, sixty of each group in any other.
const FEW: u32 = 4;

fn world() -> Vec<Stay> {
    let mut all = stays(12 * 60 - (60 - FEW), 0, |_| ());
    for (number, stay) in (0u32..).zip(&mut all) {
        // The first group's last quarter comes last and is cut off.
        let (group, quarter) = (["DA1", "DB1", "DC1"], number / 180);
        stay.drg = if quarter < 3 { group[number as usize / 3 % 3] } else { "DB1" };
        if quarter == 3 && number >= 540 + 120 {
            stay.drg = "DA1";
        } else if quarter == 3 && number % 2 == 0 {
            stay.drg = "DC1";
        }
        stay.month = u8::try_from(3 * quarter + 1 + number % 3).unwrap();
        stay.los_days = 1;
    }
    all
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// One hospital, for its own cells.
    Own,
    /// Three hospitals, for their sums.
    Pooled,
}

impl Way {
    async fn region(self, stays: Vec<Stay>) -> Region {
        match self {
            Self::Own => hospital_under(Policy::answering(), stays).await,
            Self::Pooled => spread_under(Policy::answering(), stays).await,
        }
    }

    /// What a question by group selects and groups by, beside the group.
    const fn hospital(self) -> &'static str {
        match self {
            Self::Own => "hospital_id, ",
            Self::Pooled => "",
        }
    }

    /// Groups that are told of the stays that meet a condition.
    async fn told(self, region: &Region, condition: &str) -> Vec<String> {
        let hospital = self.hospital();
        let sql = format!(
            "SELECT {hospital}drg_code, count(*) AS n, sum(total_cost) AS cost FROM stay {condition} \
             GROUP BY {hospital}drg_code"
        );
        let rows = region.ask(&sql).await.unwrap().rows();
        let group = usize::from(self == Self::Own);
        let mut groups: Vec<String> = rows.into_iter().map(|row| row[group].clone()).collect();
        groups.sort_unstable();
        groups
    }

    /// Whether the sum over all stays that meet a condition is told.
    async fn total(self, region: &Region, condition: &str) -> bool {
        let hospital = self.hospital();
        let group = if self == Self::Own { "GROUP BY hospital_id" } else { "" };
        let sql = format!("SELECT {hospital}sum(total_cost) AS cost FROM stay {condition} {group}");
        match region.ask(&sql).await {
            // A group that is withheld is no row, or one without a value.
            Ok(answer) => {
                answer.rows().iter().any(|row| row.last().is_some_and(|cost| !cost.is_empty()))
            }
            error => {
                assert_eq!(refusal(error).code, RefusalCode::Differencing, "{sql}");
                false
            }
        }
    }

    /// The party that remembers, started again.
    async fn restart(self, region: &Region) {
        match self {
            Self::Own => restart(region, "h-1").await,
            Self::Pooled => {
                region.stop_witness().await;
                region.start_witness(None).await.unwrap();
            }
        }
    }
}

pub(super) fn between(from: u32, until: u32) -> String {
    let end = |month: u32| format!("{}-{:02}-01", 2024 + (month - 1) / 12, (month - 1) % 12 + 1);
    format!("WHERE discharged_at >= '{}' AND discharged_at < '{}'", end(from), end(until))
}

/// A condition that everybody meets.
const ONLY_SCHEME: &str = " AND drg_scheme = 'CHS-DRG@2.0'";
const ALL: [&str; 3] = ["DA1", "DB1", "DC1"];

/// What an asker has heard, as equations over each group in each quarter.
#[derive(Debug, Default)]
struct Heard(Vec<[i64; UNKNOWNS]>);

const UNKNOWNS: usize = 12;
/// The first group in the last quarter.
const SECRET: usize = 3;
/// Larger than any number that elimination could meet by chance.
const PRIME: i64 = 1_000_003;

impl Heard {
    /// The sum over these groups and quarters.
    fn hears(&mut self, groups: &[usize], quarters: std::ops::Range<usize>) {
        let mut row = [0; UNKNOWNS];
        for group in groups {
            quarters.clone().for_each(|quarter| row[group * 4 + quarter] = 1);
        }
        self.0.push(row);
    }

    /// Each of these groups by itself.
    fn hears_of<T: AsRef<str>>(&mut self, told: &[T], quarters: &std::ops::Range<usize>) -> usize {
        let is_told = |place: &usize| told.iter().any(|group| group.as_ref() == ALL[*place]);
        let places: Vec<usize> = (0..ALL.len()).filter(is_told).collect();
        places.iter().for_each(|place| self.hears(&[*place], quarters.clone()));
        places.len()
    }

    /// Whether the secret is a linear combination of what was heard: elimination modulo a prime.
    fn solves(&self) -> bool {
        let mut rows = self.0.clone();
        // The secret's column comes last, so that it is alone in a row exactly when it follows.
        let columns = (0..UNKNOWNS).filter(|column| *column != SECRET);
        for column in columns {
            let Some(place) = rows.iter().position(|row| row[column] != 0) else { continue };
            let pivot = rows.swap_remove(place);
            let inverse = power(pivot[column], PRIME - 2);
            for row in &mut rows {
                let factor = row[column] * inverse % PRIME;
                for (value, own) in row.iter_mut().zip(pivot) {
                    *value = (*value - factor * own).rem_euclid(PRIME);
                }
            }
        }
        rows.iter().any(|row| row[SECRET] != 0)
    }
}

fn power(base: i64, exponent: i64) -> i64 {
    let (mut result, mut square, mut rest) = (1, base.rem_euclid(PRIME), exponent);
    while rest > 0 {
        if rest % 2 == 1 {
            result = result * square % PRIME;
        }
        (square, rest) = (square * square % PRIME, rest / 2);
    }
    result
}

/// All that can be asked about quarters that follow each other, by group and of all together.
fn questions() -> Vec<(std::ops::Range<usize>, bool)> {
    let ranges = (0..4).flat_map(|from| (from + 1..5).map(move |until| from..until));
    ranges.flat_map(|range| [(range.clone(), false), (range, true)]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_asked_about_quarters_in_whatever_order_the_last_one_stays_hidden() {
    for (way, seed) in (0..4).flat_map(|seed| [(Way::Own, seed), (Way::Pooled, seed)]) {
        let region = way.region(world()).await;
        let (mut heard, mut asked) = (Heard::default(), questions());
        asked.shuffle(&mut StdRng::seed_from_u64(seed));
        let (mut numbers, all) = (0, 10 * 4);
        for (quarters, by_group) in asked {
            let end = |quarter: usize| u32::try_from(3 * quarter + 1).unwrap();
            let condition = between(end(quarters.start), end(quarters.end));
            if by_group {
                let groups = way.told(&region, &condition).await;
                numbers += heard.hears_of(&groups, &quarters);
            } else if way.total(&region, &condition).await {
                numbers += 1;
                heard.hears(&[0, 1, 2], quarters.clone());
            }
            assert!(!heard.solves(), "{way:?} {seed}: solved by {quarters:?}: {heard:?}");
        }
        assert!(numbers > all / 4, "{way:?} {seed}: {numbers} of {all} are told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_year_and_three_quarters_do_not_tell_the_fourth() {
    // However the year is said: as its twelve months, as all that there is, or as what began before its end.
    let since = "WHERE discharged_at < '2025-01-01'".to_owned();
    for way in [Way::Own, Way::Pooled] {
        for year in [between(1, 13), String::new(), since.clone()] {
            let region = way.region(world()).await;
            assert_eq!(way.told(&region, &year).await, ALL);
            assert_eq!(way.told(&region, &between(1, 4)).await, ALL);
            assert_eq!(way.told(&region, &between(4, 7)).await, ALL);
            // What was told is known after a restart too.
            way.restart(&region).await;
            // Another group is withheld as well: else the first would follow from the total.
            let third = way.told(&region, &between(7, 10)).await;
            assert!(third == ["DB1"] || third == ["DC1"], "{way:?} {year}: {third:?}");
            assert!(way.total(&region, &between(7, 10)).await);
            the_same_in_other_words(way, &region).await;
            // What was told before may be told again.
            assert_eq!(way.told(&region, &between(4, 7)).await, ALL);
        }
    }
}

/// The third quarter, which would tell the fourth.
async fn the_same_in_other_words(way: Way, region: &Region) {
    // By a condition on the group instead of GROUP BY.
    for one in ["drg_code = 'DA1'", "'DA1' = drg_code", "drg_code IN ('DA1')"] {
        let condition = format!("{} AND {one}", between(7, 10));
        let sql = match way {
            Way::Own => format!(
                "SELECT hospital_id, sum(total_cost) AS cost FROM stay {condition} GROUP BY 1"
            ),
            Way::Pooled => format!("SELECT sum(total_cost) AS cost FROM stay {condition}"),
        };
        assert_eq!(refusal(region.ask(&sql).await).code, RefusalCode::Differencing, "{sql}");
    }
    // Beside a group that all are in, and, where the party knows the data, a condition that everybody meets.
    let mut others = vec![("", ", 'x'"), (ONLY_SCHEME, "")];
    if way == Way::Own {
        others.push((" AND age_years >= 0", ""));
    }
    let first = format!("{}{ONLY_SCHEME}", between(1, 4));
    assert_eq!(way.told(region, &first).await, ALL, "everybody meets it");
    for (condition, group) in others {
        let hospital = way.hospital();
        let sql = format!(
            "SELECT {hospital}drg_code{group}, count(*) AS n FROM stay {}{condition} \
             GROUP BY {hospital}drg_code{group}",
            between(7, 10)
        );
        match region.ask(&sql).await {
            Ok(answer) => {
                assert!(!answer.rows().iter().flatten().any(|code| code == "DA1"), "{sql}");
            }
            error => assert_eq!(refusal(error).code, RefusalCode::Differencing, "{sql}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quarters_do_not_tell_the_rest_of_a_year_either() {
    for way in [Way::Own, Way::Pooled] {
        let region = way.region(world()).await;
        for from in [1, 4, 7] {
            assert_eq!(way.told(&region, &between(from, from + 3)).await, ALL);
        }
        let year = way.told(&region, &between(1, 13)).await;
        assert!(year == ["DB1"] || year == ["DC1"], "{way:?} {year:?}");
        assert_eq!(way.told(&region, "").await, year);
        // Nor with half a year, and with all totals.
        let half = way.told(&region, &between(7, 13)).await;
        let mut heard = Heard::default();
        for (quarters, groups) in [(0..4, &year), (2..4, &half)] {
            heard.hears_of(groups, &quarters);
            heard.hears(&[0, 1, 2], quarters);
        }
        for quarter in 0..3 {
            heard.hears_of(&ALL, &(quarter..quarter + 1));
        }
        assert!(!heard.solves(), "{way:?} {year:?} {half:?}");
        // The year's first group would: this is no vacuous check.
        heard.hears(&[0], 0..4);
        assert!(heard.solves());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quarters_that_are_all_large_tell_the_year() {
    let mut all = world();
    all.retain(|stay| stay.month <= 9);
    for way in [Way::Own, Way::Pooled] {
        let region = way.region(all.clone()).await;
        for from in [1, 4, 7] {
            assert_eq!(way.told(&region, &between(from, from + 3)).await, ALL);
        }
        assert_eq!(way.told(&region, &between(1, 13)).await, ALL);
        assert_eq!(way.told(&region, "").await, ALL);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_a_hospital_has_only_now_is_asked_about_with_it() {
    // The coordinator knows of months until September when the last quarter arrives.
    let (mut before, all) = (world(), world());
    before.retain(|stay| stay.month <= 9);
    let region = Way::Pooled.region(before).await;
    assert_eq!(Way::Pooled.told(&region, &between(1, 4)).await, ALL);
    let late: Vec<Stay> = all.into_iter().step_by(SPREAD.len()).collect();
    let source = fixture::write(region.folder(), "late", late);
    let site = Arc::clone(&region.sites()[0]);
    let mapping = fixture::mapping_with(region.folder(), SCHEME);
    let ingest = move || site.ingest(&source, &mapping).unwrap();
    tokio::task::spawn_blocking(ingest).await.unwrap();
    restart(&region, "h-1").await;
    let answer = region.ask("SELECT drg_code, count(*) AS n FROM stay GROUP BY 1").await.unwrap();
    assert_eq!((answer.release.hospitals_answered, answer.missing()), (3, vec![]));
}
