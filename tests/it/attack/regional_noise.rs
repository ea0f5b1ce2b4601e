//! Noise in regional sums: it is drawn once and paid for by every hospital in the sum, whoever asks, whatever crashes, and
//! however narrow one hospital's bounds are.

use model::RefusalCode;
use privacy::noise::MICRO;
use privacy::policy::Allow;
use privacy::{Noise, Policy};
use proto::v1;
use record::{Archive, FILE};
use serde_json::Value;
use tests::fixture::{self, Stay};
use tests::{Answer, HospitalSource, Region, Site, put};
use tonic::Status;

use super::{SPREAD, refusal, spread, spread_under, stays};
use crate::client::{consilium, user_folder};

const RHO: u64 = 5_000;
const BY_DRG: &str = "SELECT drg_code, count(*) AS n, sum(total_cost) AS cost, avg(los_days) AS los FROM stay GROUP BY 1";
const ALL: &str = "SELECT count(*) AS n FROM stay";

fn with_noise(noise: Noise) -> Policy {
    Policy { noise: Some(noise), ..Policy::answering() }
}

async fn noisy(region: &Region, sql: &str, rho_micro: u64) -> Result<Answer, Status> {
    let (sql, rho_micro) = (sql.to_owned(), Some(rho_micro));
    put(region.client(), v1::Question { sql, rho_micro, ..v1::Question::default() }).await
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

fn spent_at(site: &Site) -> u64 {
    let year = service::clock::day(tests::now())[..4].to_owned();
    let spent = Archive::open(&site.folder().join("data").join(FILE)).unwrap();
    spent.noise_spent(&year).unwrap().iter().map(|one| one.rho_micro).sum()
}

fn spent(region: &Region) -> Vec<u64> {
    region.sites().iter().map(|site| spent_at(site)).collect()
}

/// Two groups of 600 and one of five patients.
fn three_groups() -> Vec<Stay> {
    let mut all = stays(1_205, 0, |_| ());
    for (number, stay) in (0..).zip(&mut all) {
        stay.drg = if number < 5 { "DC1" } else { ["DA1", "DB1"][number % 2] };
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_near_says_how_near_and_is_drawn_once() {
    let region = spread_under(with_noise(Noise::default()), three_groups()).await;
    let answer = noisy(&region, BY_DRG, RHO).await.unwrap();
    let rows = answer.rows();
    let names = answer.batches[0].schema();
    let names: Vec<_> = names.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["drg_code", "n", "n_sd", "cost", "cost_sd", "los", "los_sd"]);
    for drg in ["DA1", "DB1"] {
        let row = rows.iter().find(|row| row[0] == drg).unwrap();
        let (n, deviation) = (number(&row[1]), number(&row[2]));
        // Six deviations: once in 500 million times. The deviation is that of one draw for three hospitals.
        assert!(
            (n - 600.0).abs() < 6.0 * deviation && (20.0..25.0).contains(&deviation),
            "{row:?}"
        );
        assert!((number(&row[5]) - 5.0).abs() < 6.0 * number(&row[6]), "{row:?}");
    }
    let told = &answer.release;
    assert_eq!((told.mode.as_str(), told.scope.as_str()), ("noisy", "pooled"));
    assert_eq!((told.stays_coverage, told.cells_withheld, told.hospitals_answered), (None, 0, 3));
    let [statement] = &told.noise[..] else { panic!("{:?}", told.noise) };
    let noise = statement.noise.as_ref().unwrap();
    assert_eq!((statement.hospital.as_str(), noise.rho_micro), ("", RHO));
    assert!((noise.epsilon_year - 4.06).abs() < 0.01 && noise.rows_deviation < 25.0, "{noise:?}");
    assert_eq!(spent(&region), [RHO; 3]);

    // Averaging: who asks again hears the same, and it costs nothing.
    for _ in 0..5 {
        assert_eq!(noisy(&region, BY_DRG, RHO).await.unwrap().rows(), rows);
    }
    assert_eq!(spent(&region), [RHO; 3]);
    // In other words it is another draw, and paid.
    let filtered = BY_DRG.replace("GROUP", "WHERE los_days < 90 GROUP");
    assert_ne!(noisy(&region, &filtered, RHO).await.unwrap().rows(), rows);
    assert_eq!(spent(&region), [2 * RHO; 3]);
    // An exact answer beside it is as exact as ever, and masked.
    let exact = region.ask(ALL).await.unwrap();
    assert_eq!(
        (exact.rows(), exact.release.mode.as_str()),
        (vec![vec!["1205".to_owned()]], "masked")
    );
    let logged = region.site("h-1").releases().unwrap();
    let modes: Vec<_> = logged.iter().map(|row| row.mode.clone()).collect();
    assert_eq!(modes.iter().filter(|mode| *mode == "noisy").count(), 2, "{modes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn averaging_over_other_words_ends_with_every_hospitals_budget() {
    let noise = Noise { rho_user_year_micro: 3 * RHO, ..Noise::default() };
    let region = spread_under(with_noise(noise), stays(300, 0, |_| ())).await;
    let about_all = |number: u32| format!("{ALL} WHERE los_days < {}", 30 + number);
    for question in 0..3 {
        noisy(&region, &about_all(question), RHO).await.unwrap();
    }
    let refused = refusal(noisy(&region, &about_all(3), RHO).await);
    assert_eq!(refused.code, RefusalCode::Budget);
    assert!(refused.reason.contains("The asker's") && refused.instead.contains("-01-01 UTC"));
    assert!(refusal(noisy(&region, &about_all(4), RHO + 1).await).reason.contains("at most"));
    assert_eq!(spent(&region), [3 * RHO; 3]);
    assert!(noisy(&region, &about_all(0), RHO).await.is_ok(), "what was answered stays answered");
}

/// With a leave for noise only: the budget is the leave, and the bounds are those of the narrowest policy.
#[tokio::test(flavor = "multi_thread")]
async fn bounds_are_the_narrowest_and_one_person_moves_a_sum_by_no_more() {
    let plenty = Noise {
        rho_request_micro: 100 * MICRO,
        rho_user_year_micro: 100 * MICRO,
        rho_hospital_year_micro: 100 * MICRO,
        ..Noise::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let mut all = stays(300, 0, |_| ());
    // One patient of the first hospital has half of its stays, and each of them costs a million.
    for stay in all.iter_mut().step_by(6) {
        (stay.person, stay.cost_cents) = ("one".to_owned(), 100_000_000);
    }
    let hospitals = SPREAD.into_iter().enumerate().map(|(turn, id)| {
        let own = all.iter().skip(turn).step_by(SPREAD.len()).cloned();
        HospitalSource::small(id, fixture::write(folder.path(), id, own))
    });
    let mut policy = with_noise(plenty);
    policy.questions.allow = Allow::Packs;
    policy.questions.packs = vec!["0".repeat(64)];
    let narrow = Policy { noise: Some(Noise { money: 2_000, ..plenty }), ..policy.clone() };
    let builder = Region::builder().hospitals(hospitals).policy(policy.clone());
    let region = builder.policy_of("h-2", narrow).start().await.unwrap();
    assert_eq!(refusal(region.ask(ALL).await).code, RefusalCode::Pack);

    let costs = "SELECT count(*) AS n, sum(total_cost) AS cost FROM stay";
    let row = &noisy(&region, costs, 50 * MICRO).await.unwrap().rows()[0];
    // Of one patient one row counts, up to 2,000.
    let others: i64 =
        all.iter().filter(|stay| stay.person != "one").map(|stay| stay.cost_cents).sum();
    let expected = others as f64 / 100.0 + 2_000.0;
    assert!((number(&row[0]) - 251.0).abs() <= 12.0, "{row:?}");
    assert!(
        (number(&row[2]) - expected).abs() < 6.0 * number(&row[3]) + 2_000.0,
        "{row:?} {expected}"
    );

    // A hospital whose bounds become narrower is asked again within them.
    let narrower = Policy { noise: Some(Noise { money: 10, ..plenty }), ..policy };
    region.site("h-3").set_policy(&narrower).unwrap();
    let row = &noisy(&region, costs, 49 * MICRO).await.unwrap().rows()[0];
    assert!((number(&row[2]) - 2_510.0).abs() < 6.0 * number(&row[3]) + 200.0, "{row:?}");
    assert_eq!(spent(&region), [99 * MICRO; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_budget_or_no_bound_is_not_told() {
    let region = spread(stays(90, 0, |_| ())).await;
    let refused = refusal(noisy(&region, ALL, RHO).await);
    assert_eq!((refused.code, refused.subject.as_str()), (RefusalCode::Budget, "--noise"));

    let region = spread_under(with_noise(Noise::default()), stays(300, 0, |_| ())).await;
    for (aggregate, code) in [
        ("stddev(total_cost)", RefusalCode::Request),
        ("approx_percentile_cont(total_cost, 0.5)", RefusalCode::Request),
        ("count(*) AS n, (SELECT count(*) FROM stay) AS m", RefusalCode::Request),
    ] {
        let refused = refusal(noisy(&region, &format!("SELECT {aggregate} FROM stay"), RHO).await);
        assert_eq!(refused.code, code, "{aggregate}: {refused}");
    }
    let listed = refusal(noisy(&region, "SELECT drg_code FROM stay GROUP BY 1", RHO).await);
    assert_eq!(listed.code, RefusalCode::Request, "{listed}");
    assert_eq!(spent(&region), [0; 3], "what is refused costs nothing");
    // Nobody is in it; a number near to none is told all the same.
    let nobody = "SELECT count(*) AS n FROM stay WHERE sex = 'X'";
    let row = &noisy(&region, nobody, RHO).await.unwrap().rows()[0];
    assert!(number(&row[0]) < 6.0 * number(&row[1]), "{row:?}");
}

/// Five hospitals, of which the last ones have other policies.
async fn five(policy: &Policy, others: &[(&str, Policy)]) -> Region {
    let folder = tempfile::tempdir().unwrap();
    let all = stays(500, 0, |_| ());
    let hospitals = (0..5).map(|turn| {
        let id = format!("h-{}", turn + 1);
        let own = all.iter().skip(turn).step_by(5).cloned();
        HospitalSource::small(&id, fixture::write(folder.path(), &id, own))
    });
    let builder = Region::builder().hospitals(hospitals).policy(policy.clone());
    let all = others.iter().fold(builder, |builder, (id, own)| builder.policy_of(id, own.clone()));
    all.start().await.unwrap()
}

/// Who cannot pay is not asked, nobody pays for a round that cannot be, and exact answers are over whom they would be
/// over anyway.
#[tokio::test(flavor = "multi_thread")]
async fn hospitals_without_a_budget_cost_the_others_nothing() {
    let noisy_policy = with_noise(Noise::default());
    let poor = Noise { rho_request_micro: RHO - 1, ..Noise::default() };
    let others = [("h-4", with_noise(poor)), ("h-5", Policy::answering())];
    let region = five(&noisy_policy, &others).await;
    let exact = region.ask(ALL).await.unwrap();
    assert_eq!((exact.rows()[0][0].as_str(), exact.release.hospitals_answered), ("500", 5));
    let answer = noisy(&region, ALL, RHO).await.unwrap();
    let row = &answer.rows()[0];
    assert!((number(&row[0]) - 300.0).abs() < 6.0 * number(&row[1]), "{row:?}");
    let missing: Vec<_> =
        answer.release.missing.iter().map(|m| (m.hospital.as_str(), m.reason.as_str())).collect();
    assert_eq!(missing, [("h-4", "refused: budget"), ("h-5", "refused: budget")]);
    assert_eq!(spent(&region), [RHO, RHO, RHO, 0, 0]);
    // They are missing for good, so a repetition is one.
    assert_eq!(&noisy(&region, ALL, RHO).await.unwrap().rows()[0], row);
    assert_eq!(spent(&region), [RHO, RHO, RHO, 0, 0]);
    // Four with noise beside five without: one apart, and neither stands in the way of the other.
    assert!(noisy(&region, ALL, RHO - 1).await.is_ok());
    assert_eq!(spent(&region), [2 * RHO - 1, 2 * RHO - 1, 2 * RHO - 1, RHO - 1, 0]);
    let again = region.ask(ALL).await.unwrap();
    assert_eq!((again.rows(), again.release.hospitals_answered), (exact.rows(), 5));

    let region =
        five(&Policy::answering(), &[("h-1", noisy_policy.clone()), ("h-2", noisy_policy)]).await;
    assert_eq!(refusal(noisy(&region, ALL, RHO).await).code, RefusalCode::Budget);
    assert_eq!(spent(&region), [0; 5], "two are no region");
}

/// A hospital that is away is missed, and asked when it is back; until then the answer is repeated.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_is_in_the_next_answer() {
    let region = five(&with_noise(Noise::default()), &[]).await;
    region.site("h-5").stop().await;
    let without = noisy(&region, ALL, RHO).await.unwrap();
    assert_eq!(without.release.hospitals_answered, 4);
    assert_eq!(noisy(&region, ALL, RHO).await.unwrap().rows(), without.rows());
    assert_eq!(spent(&region), [RHO, RHO, RHO, RHO, 0]);
    region.site("h-5").start().await.unwrap();
    let with = noisy(&region, ALL, RHO).await.unwrap();
    assert_eq!(with.release.hospitals_answered, 5);
    assert_eq!(spent(&region), [2 * RHO, 2 * RHO, 2 * RHO, 2 * RHO, RHO]);
    assert_eq!(noisy(&region, ALL, RHO).await.unwrap().rows(), with.rows());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_says_whose_noise_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let region = spread_under(with_noise(Noise::default()), three_groups()).await;
    let user = user_folder(&region, folder.path());
    let words = ["query", "--region", user.to_str().unwrap(), "--noise", BY_DRG];
    let explained = consilium(&[&words[..], &["--dry-run"]].concat()).await;
    let explained = String::from_utf8(explained.stdout).unwrap();
    assert!(explained.contains("noisy: the witness draws"), "{explained}");
    assert!(!explained.contains("at least 11"), "{explained}");
    assert_eq!(spent(&region), [0; 3], "a dry run costs nothing");
    let output = consilium(&[&words[..], &["--format", "json"]].concat()).await;
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("drawn by the witness") && told.contains("0.005 (rho)"), "{told}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["release"]["noise"][0]["hospital"], "");
}

/// A crash of anybody at any point: what was not sent is not paid for, and nothing is opened twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_neither_overspends_nor_opens_twice() {
    let folder = tempfile::tempdir().unwrap();
    let all = stays(300, 0, |_| ());
    let hospitals = SPREAD.into_iter().enumerate().map(|(turn, id)| {
        let own = all.iter().skip(turn).step_by(SPREAD.len()).cloned();
        HospitalSource::small(id, fixture::write(folder.path(), id, own))
    });
    let exe = env!("CARGO_BIN_EXE_consilium_process");
    let builder = Region::builder().hospitals(hospitals).policy(with_noise(Noise::default()));
    let region = builder.node_processes(exe).witness_process(exe).start().await.unwrap();
    let node = region.site("h-1");
    let (mut others, mut own) = (0, 0);
    let points = [
        ("node.offer.reserved", 0),
        ("node.offer.before_commit", 0),
        ("node.offer.committed", RHO),
    ];
    for (number, (point, paid)) in (0..).zip(points) {
        let sql = format!("{ALL} WHERE los_days < {}", 30 + number);
        node.kill();
        node.start_to_crash(Some(point)).await.unwrap();
        // Two hospitals are no sum; what they have sent they have paid for.
        assert!(noisy(&region, &sql, RHO).await.is_err(), "{point}");
        assert_eq!(node.ended().await, None, "{point}: an exit is no crash");
        node.start().await.unwrap();
        (others, own) = (others + RHO, own + paid);
        assert_eq!(spent(&region), [own, others, others], "{point}");
        let first = noisy(&region, &sql, RHO).await.unwrap().rows();
        assert_eq!(noisy(&region, &sql, RHO).await.unwrap().rows(), first, "{point}");
        (others, own) = (others + RHO, own + RHO);
        assert_eq!(spent(&region), [own, others, others], "{point}");
    }
    for point in ["witness.open.checked", "witness.open.recorded", "witness.open.judged"] {
        region.kill_witness();
        region.start_witness(Some(point)).await.unwrap();
        assert!(noisy(&region, BY_DRG, RHO).await.is_err(), "{point}");
        assert_eq!(region.witness_ended().await, None, "{point}: an exit is no crash");
        region.start_witness(None).await.unwrap();
    }
    assert!(noisy(&region, ALL, RHO).await.is_ok(), "and then all is as it was");
}
