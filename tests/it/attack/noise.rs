//! Noise: fresh noise for the same question, averaging, one person with many stays or a huge cost, and
//! budgets that many askers spend at once.

use futures::future::join_all;
use model::RefusalCode;
use privacy::noise::MICRO;
use privacy::policy::Allow;
use privacy::{Noise, Policy};
use proto::v1;
use record::{Archive, FILE};
use serde_json::Value;
use tests::fixture::{self, Stay};
use tests::{Answer, HospitalSource, Region, put};
use tonic::Status;

use super::{hospital_under, refusal, spread, stays};
use crate::client::{consilium, user_folder};

const BY_DRG: &str = "SELECT hospital_id, drg_code, count(*) AS n, sum(total_cost) AS cost, \
                      avg(los_days) AS los FROM stay GROUP BY 1, 2";
const RHO: u64 = 5_000;
/// So much budget that its noise is next to nothing: one person's bounds show.
const PLENTY: Noise = Noise {
    rho_request_micro: 100 * MICRO,
    rho_user_year_micro: 100 * MICRO,
    rho_hospital_year_micro: 100 * MICRO,
    delta_e9: 1_000,
    rows_per_person: 1,
    money: 100_000,
    number: 100,
};

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

/// Questions that mean the same and are written differently.
fn about_all(number: u32) -> String {
    format!(
        "SELECT hospital_id, count(*) AS n FROM stay WHERE los_days < {} GROUP BY 1",
        30 + number
    )
}

fn spent(region: &Region) -> u64 {
    let file = region.site("h-1").folder().join("data").join(FILE);
    let year = service::clock::day(tests::now())[..4].to_owned();
    let spent = Archive::open(&file).unwrap().noise_spent(&year).unwrap();
    spent.iter().map(|one| one.rho_micro).sum()
}

fn three_groups() -> Vec<Stay> {
    let mut all = stays(1_200, 0, |_| ());
    for (number, stay) in (0..).zip(&mut all) {
        // A group of five patients, which noise hides as well.
        stay.drg = if number < 5 { "DC1" } else { ["DA1", "DB1"][number % 2] };
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_near_says_how_near_and_is_drawn_once() {
    let region = hospital_under(with_noise(Noise::default()), three_groups()).await;
    let answer = noisy(&region, BY_DRG, RHO).await.unwrap();
    let rows = answer.rows();
    assert_eq!(rows.len(), 2, "{rows:?}");
    let names = answer.batches[0].schema();
    let names: Vec<_> = names.fields().iter().map(|field| field.name().as_str()).collect();
    let all = ["hospital_id", "drg_code", "n", "n_sd", "cost", "cost_sd", "los", "los_sd"];
    assert_eq!(names, all);
    let exact = [("DA1", 597.0), ("DB1", 598.0)];
    for (row, (drg, n)) in rows.iter().zip(exact) {
        assert_eq!(row[1], drg);
        let (found, deviation) = (number(&row[2]), number(&row[3]));
        // Six deviations: once in 500 million times.
        assert!((found - n).abs() < 6.0 * deviation && deviation > 10.0, "{row:?}");
        assert!((number(&row[6]) - 5.0).abs() < 6.0 * number(&row[7]), "{row:?}");
    }
    let told = &answer.release;
    assert_eq!((told.mode.as_str(), told.stays_coverage, told.cells_withheld), ("noisy", None, 0));
    let noise = told.noise[0].noise.as_ref().unwrap();
    assert_eq!((told.noise[0].hospital.as_str(), noise.rho_micro), ("h-1", RHO));
    assert!(
        told.noise.len() == 1 && noise.least_rows > 11 && (noise.epsilon_year - 4.06).abs() < 0.01
    );

    // Averaging: whoever asks again, and however often, hears the same and it costs nothing.
    for _ in 0..20 {
        assert_eq!(noisy(&region, BY_DRG, RHO).await.unwrap().rows(), rows);
    }
    assert_eq!(spent(&region), RHO);
}

#[tokio::test(flavor = "multi_thread")]
async fn averaging_over_other_words_ends_with_the_budget() {
    let noise = Noise { rho_user_year_micro: 4 * RHO, ..Noise::default() };
    let region = hospital_under(with_noise(noise), stays(300, 0, |_| ())).await;
    for question in 0..4 {
        noisy(&region, &about_all(question), RHO).await.unwrap();
    }
    let refused = refusal(noisy(&region, &about_all(4), RHO).await);
    assert_eq!(refused.code, RefusalCode::Budget);
    assert!(refused.reason.contains("The asker's") && refused.instead.contains("-01-01 UTC"));
    // A smaller question does not fit either, a larger one than a question may cost is named so.
    assert_eq!(refusal(noisy(&region, &about_all(5), 1).await).code, RefusalCode::Budget);
    assert!(refusal(noisy(&region, &about_all(6), RHO + 1).await).reason.contains("at most"));
    assert_eq!(spent(&region), 4 * RHO);
    // What was answered stays answered.
    assert!(noisy(&region, &about_all(0), RHO).await.is_ok());
    // Somebody else has a budget of their own.
    let mut other = region.user("bob").unwrap();
    let question = v1::Question { sql: about_all(9), rho_micro: Some(RHO), ..Default::default() };
    assert!(other.ask(question).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_askers_at_once_do_not_overspend() {
    let most = 10 * RHO;
    let noise =
        Noise { rho_user_year_micro: most, rho_hospital_year_micro: most, ..Noise::default() };
    let region = hospital_under(with_noise(noise), stays(100, 0, |_| ())).await;
    let questions: Vec<_> = (0..100).map(about_all).collect();
    let answers = join_all(questions.iter().map(|sql| noisy(&region, sql, RHO))).await;
    let (answered, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((answered.len(), spent(&region)), (10, most));
    assert!(refused.into_iter().all(|one| refusal(one).code == RefusalCode::Budget));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_moves_an_answer_by_one_row_and_one_bound() {
    // One of 200 persons has 400 stays, one stay costs a hundred million.
    let mut all = stays(599, 400, |stay| stay.person = "p0".to_owned());
    all[500].cost_cents = 10_000_000_000;
    let (persons, plain) = (200, stays(199, 0, |_| ()));
    let region = hospital_under(with_noise(PLENTY), all).await;
    let sql = "SELECT hospital_id, count(*) AS n, count(DISTINCT person_key) AS persons, \
               sum(total_cost) AS cost FROM stay GROUP BY 1";
    let rows = noisy(&region, sql, 100 * MICRO).await.unwrap().rows();
    assert!((number(&rows[0][1]) - f64::from(persons)).abs() <= 6.0, "{rows:?}");
    assert!((number(&rows[0][3]) - f64::from(persons)).abs() <= 6.0, "{rows:?}");
    // 199 ordinary costs of 1,000 to 1,600, and 100,000 for whoever cost a hundred million.
    let ordinary: f64 = f64::from(u32::try_from(plain.len()).unwrap()) * 1_600.0;
    let cost = number(&rows[0][5]);
    assert!(cost < ordinary + 100_000.0 + 6.0 * number(&rows[0][6]), "{rows:?}");
    assert!(cost > 200_000.0, "the bound counts: {rows:?}");
    // So the test can fail: five rows of a person are five rows.
    let five = with_noise(Noise { rows_per_person: 5, ..PLENTY });
    let all = stays(599, 400, |stay| stay.person = "p0".to_owned());
    let region = hospital_under(five, all).await;
    let rows = noisy(&region, sql, 100 * MICRO).await.unwrap().rows();
    assert!((number(&rows[0][1]) - 204.0).abs() <= 12.0, "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_is_for_counts_sums_and_means() {
    let region = spread(stays(90, 0, |_| ())).await;
    let refused = refusal(noisy(&region, &about_all(0), RHO).await);
    assert_eq!(refused.code, RefusalCode::Budget, "no hospital has set a budget");

    let mut policy = with_noise(Noise::default());
    policy.questions.allow = Allow::Packs;
    policy.questions.packs = vec!["0".repeat(64)];
    let region = hospital_under(policy, stays(300, 0, |_| ())).await;
    // A budget is a leave, an exact answer needs another.
    assert_eq!(refusal(region.ask(&about_all(0)).await).code, RefusalCode::Pack);
    assert!(noisy(&region, &about_all(0), RHO).await.is_ok());
    for aggregate in ["stddev(total_cost)", "approx_percentile_cont(total_cost, 0.5)"] {
        let sql = format!("SELECT hospital_id, {aggregate} FROM stay GROUP BY 1");
        assert_eq!(refusal(noisy(&region, &sql, RHO).await).code, RefusalCode::Request);
    }
    // Nobody is in it, and that does not show.
    let nobody =
        "SELECT hospital_id, drg_code, count(*) AS n FROM stay WHERE sex = 'X' GROUP BY 1, 2";
    assert!(noisy(&region, nobody, RHO).await.unwrap().rows().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_asks_and_tells_what_it_cost() {
    let folder = tempfile::tempdir().unwrap();
    let region = hospital_under(with_noise(Noise::default()), three_groups()).await;
    let user = user_folder(&region, folder.path());
    let words = ["query", "--region", user.to_str().unwrap(), "--noise", BY_DRG];
    let output = consilium(&[&words[..], &["--format", "json"]].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&answer["release"]["mode"], &answer["release"]["noise"][0]["rho"]),
        (&"noisy".into(), &"0.005".into())
    );
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("0.005 (rho)") && told.contains("standard deviation"), "{told}");
    let explained = consilium(&[&words[..], &["--dry-run"]].concat()).await;
    let explained = String::from_utf8(explained.stdout).unwrap();
    assert!(explained.contains("noisy: each hospital draws"), "{explained}");
    assert!(!explained.contains("at least 11"), "{explained}");
    assert_eq!(spent(&region), RHO, "a dry run costs nothing");
}

/// A crash at any point of a noisy question: what was not sent costs nothing, what may have been sent is
/// paid for once and said again.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_neither_overspends_nor_draws_twice() {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture::write(folder.path(), "h-1", stays(300, 0, |_| ()));
    let region = Region::builder()
        .hospitals([HospitalSource::small("h-1", source)])
        .policy(with_noise(Noise { rho_user_year_micro: 3 * RHO, ..Noise::default() }))
        .node_processes(env!("CARGO_BIN_EXE_consilium_process"));
    let region = region.start().await.unwrap();
    let node = region.site("h-1");
    let mut paid = 0;
    let points = ["node.release.reserved", "node.release.before_commit", "node.release.committed"];
    for (number, point) in (0..).zip(points) {
        node.kill();
        node.start_to_crash(Some(point)).await.unwrap();
        assert!(noisy(&region, &about_all(number), RHO).await.is_err(), "{point}");
        assert_eq!(node.ended().await, None, "{point}: an exit is no crash");
        node.start().await.unwrap();
        let is_paid = u64::from(point == "node.release.committed");
        paid += is_paid * RHO;
        assert_eq!(spent(&region), paid, "{point}");
        // Drawn now, or on record: heard twice, it is the same, and paid once.
        let first = noisy(&region, &about_all(number), RHO).await.unwrap().rows();
        assert_eq!(noisy(&region, &about_all(number), RHO).await.unwrap().rows(), first, "{point}");
        paid += (1 - is_paid) * RHO;
        assert_eq!(spent(&region), paid, "{point}");
    }
    assert_eq!(refusal(noisy(&region, &about_all(9), RHO).await).code, RefusalCode::Budget);
}
