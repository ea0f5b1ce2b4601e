//! Federated = pooled, to the bit.
//!
//! The same rows are spread over 3 to 16 hospitals in several ways. Random questions are asked of
//! two such regions through real TLS, masked, with a witness and all (minima of 1, so that every
//! cell shows). The two answers must be the same bits, and must agree with plain DataFusion over
//! all rows: exactly for counts and decimals, to 1e-9 for doubles. When hospitals drop out before
//! their upload, the answer must be that over the survivors' rows.

mod compare;
mod questions;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use cli::synth::{SynthParams, hospitals, write_csv};
use compare::{Rows, Value, agrees, rows, same_bits};
use futures::StreamExt as _;
use query::pooled::Pooled;
use questions::{RandomQuestion, random_question};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tests::{HospitalSource, Region, open_policy};

const QUESTIONS: usize = 2_000;
const STAYS: u64 = 2_500;
/// Hospitals of each region; an even index keeps each person in one hospital.
const PARTITIONS: [usize; 7] = [3, 4, 5, 7, 9, 11, 16];
const SEED: u64 = 20_261_121;
/// Below this magnitude a difference of doubles is the yardstick's own rounding.
const FLOOR: f64 = 1.0;

/// Spreads the lines of one source over `parts` files.
fn spread(source: &str, folder: &Path, parts: usize, by_person: bool) -> Vec<PathBuf> {
    let mut rng = ChaCha8Rng::seed_from_u64(SEED + parts as u64);
    let (header, lines) = source.split_once('\n').unwrap();
    let mut place_of_person = std::collections::HashMap::new();
    let mut files: Vec<_> = (0..parts).map(|_| format!("{header}\n")).collect();
    for line in lines.lines() {
        let person = line.split(',').nth(1).unwrap().to_owned();
        let drawn = rng.random_range(0..parts);
        let place = if by_person { *place_of_person.entry(person).or_insert(drawn) } else { drawn };
        files[place].push_str(line);
        files[place].push('\n');
    }
    let write = |(index, text): (usize, String)| {
        let path = folder.join(format!("{parts}-{index}.csv"));
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        path
    };
    files.into_iter().enumerate().map(write).collect()
}

async fn region(source: &str, folder: &Path, index: usize) -> Region {
    let parts = PARTITIONS[index];
    let hospitals = hospitals_of(source, folder, parts, index.is_multiple_of(2));
    Region::builder().hospitals(hospitals).policy(open_policy()).start().await.unwrap()
}

fn hospitals_of(source: &str, folder: &Path, parts: usize, by_person: bool) -> Vec<HospitalSource> {
    let sources = spread(source, folder, parts, by_person);
    let sources = sources.into_iter().enumerate().map(|(number, source)| HospitalSource {
        id: format!("h-{number:03}"),
        tier: "tertiary".into(),
        county: "East".into(),
        source: Some(source),
        mapping: "synthetic".into(),
    });
    sources.collect()
}

fn source() -> String {
    let params = SynthParams {
        hospitals: 1,
        stays: STAYS,
        seed: SEED,
        years: 1,
        subgroups: 1,
        alike: false,
    };
    let mut bytes = Vec::new();
    write_csv(&hospitals(&params)[0], &params, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// What is wrong with one question, if anything.
async fn check(
    question: &RandomQuestion,
    regions: [&Region; 2],
    pooled: &Pooled,
) -> Option<String> {
    let sort = !question.sql.contains("ORDER BY");
    let read = |batches: &[_]| rows(batches, question.dimensions, sort);
    let mut answers = Vec::new();
    for region in regions {
        match region.ask(&question.sql).await {
            Ok(answer) if !answer.missing().is_empty() => {
                return Some(format!("{}\n  without {:?}", question.sql, answer.missing()));
            }
            Ok(answer) => answers.push(read(&answer.batches)),
            Err(status) => return Some(format!("{}\n  {status}", question.sql)),
        }
    }
    if !same_bits(&answers[0], &answers[1]) {
        let parts: Vec<_> = regions.iter().map(|region| region.sites().len()).collect();
        return Some(format!("{}\n  partitions {parts:?} differ in their bits", question.sql));
    }
    let expected = match pooled.query(&question.sql).await {
        Ok(batches) => read(&batches),
        Err(error) => return Some(format!("{}\n  {error}", question.sql)),
    };
    difference(&answers[0], &expected).map(|text| format!("{}\n  {text}", question.sql))
}

fn difference(federated: &Rows, pooled: &Rows) -> Option<String> {
    // A global aggregate over nothing is one row of zeros and NULLs in SQL; here nobody released
    // anything, so there is no row.
    let nothing = |row: &Vec<Value>| row.iter().all(|v| matches!(v, Value::Null | Value::Whole(0)));
    if federated.is_empty() && pooled.len() == 1 && nothing(&pooled[0]) {
        return None;
    }
    if federated.len() != pooled.len() {
        return Some(format!("{} rows instead of {}", federated.len(), pooled.len()));
    }
    for (mine, theirs) in federated.iter().zip(pooled) {
        for (column, (a, b)) in mine.iter().zip(theirs).enumerate() {
            if !agrees(a, b, FLOOR) {
                return Some(format!("column {column}: {a:?} instead of {b:?} in {mine:?}"));
            }
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn random_questions_have_the_same_answer_in_every_partition() {
    let folder = tempfile::tempdir().unwrap();
    let source = source();
    let mut regions = Vec::new();
    for index in 0..PARTITIONS.len() {
        regions.push(region(&source, folder.path(), index).await);
    }
    // All rows in one hospital, where a key means one thing; it is never asked.
    let whole = hospitals_of(&source, folder.path(), 1, true);
    let alone = Region::builder().hospitals(whole).start().await.unwrap();
    let pooled = Pooled::open(&alone.snapshot_folders().unwrap(), 2).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut asked = Vec::new();
    for _ in 0..QUESTIONS {
        let question = random_question(&mut rng);
        // Distinct persons add up only where no person is in two hospitals: even indices.
        let step = if question.counts_persons { 2 } else { 1 };
        let places = regions.len().div_ceil(step);
        // Small regions are cheap to ask; one question in four also meets a large one.
        let small = places.min(3);
        let first = rng.random_range(0..small);
        let others = if rng.random_bool(0.25) { places } else { small };
        let second = (first + rng.random_range(1..others)) % others;
        asked.push((question, [first * step, second * step]));
    }
    let wrong: Vec<_> = futures::stream::iter(&asked)
        .map(|(question, [a, b])| check(question, [&regions[*a], &regions[*b]], &pooled))
        .buffer_unordered(4)
        .filter_map(|outcome| async move { outcome })
        .collect()
        .await;
    assert!(
        wrong.is_empty(),
        "{} of {QUESTIONS} questions are wrong, for example:\n{}",
        wrong.len(),
        wrong.iter().take(8).cloned().collect::<Vec<_>>().join("\n")
    );
}

/// The rows of several files as one, so that a key means one thing.
fn together(files: &[&PathBuf], path: &Path) {
    let mut whole = String::new();
    for (index, file) in files.iter().enumerate() {
        let text = std::fs::read_to_string(file).unwrap();
        let (header, rows) = text.split_once('\n').unwrap();
        if index == 0 {
            whole.push_str(header);
            whole.push('\n');
        }
        whole.push_str(rows);
    }
    std::fs::write(path, whole).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_drops_out_the_answer_is_that_of_the_survivors() {
    const HOSPITALS: usize = 9;
    const DROPOUTS: usize = 24;
    let folder = tempfile::tempdir().unwrap();
    let hospitals = hospitals_of(&source(), folder.path(), HOSPITALS, true);
    let files: Vec<_> = hospitals.iter().filter_map(|one| one.source.clone()).collect();
    let builder = Region::builder().hospitals(hospitals.clone()).policy(open_policy()).proxied();
    let region = builder.start().await.unwrap();
    // Never asked: it ingests the survivors' rows for the yardstick.
    let alone = Region::builder().hospitals([hospitals[0].clone()]).start().await.unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(SEED + 1);
    let mut wrong = Vec::new();
    for _ in 0..DROPOUTS {
        let question = random_question(&mut rng);
        // Code lists are found while everybody is there; it is the rounds that lose hospitals.
        if let Err(status) = region.ask(&question.sql).await {
            wrong.push(format!("{}\n  {status}", question.sql));
            continue;
        }
        // At least three apart from all, so that the same question may be opened again.
        let mut lost: Vec<usize> = (0..HOSPITALS).collect();
        rand::seq::SliceRandom::shuffle(lost.as_mut_slice(), &mut rng);
        lost.truncate(rng.random_range(3..=HOSPITALS - 3));
        lost.iter().for_each(|index| region.sites()[*index].proxy().cut());
        let answer = region.ask(&question.sql).await;
        lost.iter().for_each(|index| region.sites()[*index].proxy().pass());
        let survivors = (0..HOSPITALS).filter(|index| !lost.contains(index));
        let survivors: Vec<_> = survivors.map(|index| &files[index]).collect();
        let whole = folder.path().join("survivors.csv");
        together(&survivors, &whole);
        let site = std::sync::Arc::clone(&alone.sites()[0]);
        let ingesting = std::sync::Arc::clone(&site);
        let ingest = move || ingesting.ingest(&whole, "synthetic").map(|_| ());
        tokio::task::spawn_blocking(ingest).await.unwrap().unwrap();
        let pooled = Pooled::open(&[site.snapshot_folder().unwrap()], 2).unwrap();
        let read =
            |batches: &[_]| rows(batches, question.dimensions, !question.sql.contains("ORDER BY"));
        let expected = read(&pooled.query(&question.sql).await.unwrap());
        let outcome = match answer {
            Ok(answer) if answer.missing().len() != lost.len() => {
                Some(format!("missing: {:?}, lost: {lost:?}", answer.missing()))
            }
            Ok(answer) => difference(&read(&answer.batches), &expected),
            Err(status) => Some(status.to_string()),
        };
        wrong.extend(outcome.map(|text| format!("{}\n  {text}", question.sql)));
    }
    assert!(wrong.is_empty(), "{} wrong, for example:\n{}", wrong.len(), wrong.join("\n"));
}
