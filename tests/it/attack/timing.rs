//! How long an answer takes, and what it says, when a group is withheld: neither tells how many are in it.

use std::cmp::Ordering;

use service::Clock;

use super::{hospital, stays, visible};

/// Questions about each of two groups.
const ROUNDS: u32 = 150;
/// How much more often than one time in two a question about the larger group may be the slower one. Of 150
/// pairs of alike questions the share has a deviation of 0.033 about one half; this is four and a half.
const BOUND: f64 = 0.15;

/// A question about the patients of one group: each of another text, so that nothing is read from the record.
fn about(drg: &str, number: u32) -> String {
    format!(
        "SELECT hospital_id, count(*) AS n, sum(total_cost) AS cost FROM stay \
         WHERE drg_code = '{drg}' AND los_days < {} GROUP BY 1",
        30 + number
    )
}

/// The share of pairs in which the second is larger, ties counting half (Mann and Whitney's U).
fn superiority(first: &[f64], second: &[f64]) -> f64 {
    let pairs = first.iter().flat_map(|a| second.iter().map(move |b| (a, b)));
    let larger = pairs.map(|(a, b)| match b.total_cmp(a) {
        Ordering::Greater => 1.0,
        Ordering::Equal => 0.5,
        Ordering::Less => 0.0,
    });
    let larger: f64 = larger.sum();
    larger / (f64::from(ROUNDS) * f64::from(ROUNDS))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withheld_group_takes_as_long_and_says_the_same_whoever_is_in_it() {
    // One patient in DB1, ten in DC1, and nobody in DZ9.
    let mut all = stays(411, 0, |_| ());
    all[400].drg = "DB1";
    all[401..].iter_mut().for_each(|stay| stay.drg = "DC1");
    let region = hospital(all).await;
    let groups = ["DB1", "DC1", "DZ9"];
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    let (clock, mut said) = (Clock::system(), None);
    // In turn, so that whatever else the machine does falls on all alike; the first ones make plans.
    for number in 0..ROUNDS + 10 {
        for turn in 0..groups.len() {
            let group = (turn + number as usize) % groups.len();
            let question = about(groups[group], number);
            let started = clock.monotonic();
            let answer = visible(&region.ask(&question).await.unwrap());
            let elapsed = clock.monotonic().duration_since(started).as_secs_f64();
            assert_eq!(*said.get_or_insert_with(|| answer.clone()), answer, "{question}");
            if number >= 10 {
                times[group].push(elapsed);
            }
        }
    }
    let [one, ten, nobody] = &times;
    for (first, second) in [(one, ten), (nobody, one), (nobody, ten)] {
        let share = superiority(first, second);
        assert!((share - 0.5).abs() < BOUND, "{share}");
    }
    // So the test can fail: three times the time shows.
    let slower: Vec<_> = one.iter().map(|time| time * 3.0).collect();
    assert!(superiority(one, &slower) > 0.5 + BOUND);
}
