//! Two questions that are each about many and differ by a few: what subtracting them would tell.

use model::RefusalCode;
use tests::Region;
use tests::fixture::{self, Stay};

use super::{hospital, refusal, spread, stays};
use crate::client::{consilium, user_folder};

/// 180 stays in three hospitals; of the first `few` one can ask by age, and they have cost most.
fn old(few: u32) -> Vec<Stay> {
    stays(180, few, |stay| {
        stay.age_years = 92;
        stay.cost_cents = 9_000_000;
    })
}

async fn rows(region: &Region, sql: &str) -> Vec<Vec<String>> {
    region.ask(sql).await.unwrap().rows()
}

async fn refused(region: &Region, sql: &str) {
    let refusal = refusal(region.ask(sql).await);
    assert_eq!(refusal.code, RefusalCode::Differencing, "{sql}");
    assert!(!refusal.to_string().contains(char::is_numeric), "never how near: {refusal}");
}

const ALL: &str = "SELECT count(*) AS n, sum(total_cost) AS cost FROM stay";
const YOUNG: &str = "SELECT count(*) AS n, sum(total_cost) AS cost FROM stay WHERE age_years < 90";

#[tokio::test(flavor = "multi_thread")]
async fn a_few_cannot_be_subtracted_from_all() {
    for few in [1, 4, 10] {
        let region = spread(old(few)).await;
        assert_eq!(rows(&region, ALL).await[0][0], "180");
        refused(&region, YOUNG).await;
        // In whatever order, and however it is said.
        let region = spread(old(few)).await;
        assert_eq!(rows(&region, YOUNG).await[0][0], (180 - few).to_string());
        refused(&region, ALL).await;
        refused(&region, "SELECT avg(los_days) AS d FROM stay WHERE total_cost >= 0").await;
        // The same patients can be asked about again, in other words and by other columns.
        let again = "SELECT avg(los_days) AS d FROM stay WHERE NOT (age_years >= 90)";
        assert_eq!(rows(&region, again).await.len(), 1);
    }
    // Enough patients are no secret, and neither is nobody.
    for few in [0, 20, 30] {
        let region = spread(old(few)).await;
        assert_eq!(rows(&region, ALL).await[0][0], "180");
        assert_eq!(rows(&region, YOUNG).await[0][0], (180 - few).to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_is_no_nearer_than_a_whole() {
    let groups = |few: u32| {
        let mut all = stays(180, 0, |_| ());
        for (number, stay) in (0..).zip(&mut all) {
            stay.drg = if number < 90 { "DA1" } else { "DB1" };
            stay.age_years = if number < few { 92 } else { stay.age_years };
        }
        all
    };
    let by_drg = "SELECT drg_code, count(*) AS n FROM stay GROUP BY drg_code ORDER BY 1";
    // A whole against a cell, and a cell against a whole.
    let one = "SELECT count(*) AS n FROM stay WHERE drg_code = 'DA1' AND age_years < 90";
    let region = spread(groups(3)).await;
    assert_eq!(rows(&region, by_drg).await, [["DA1", "90"], ["DB1", "90"]]);
    refused(&region, one).await;
    let region = spread(groups(3)).await;
    assert_eq!(rows(&region, one).await, [["87"]]);
    // Two groups, of which one is what the earlier whole lacks but for three.
    refused(&region, by_drg).await;
    // A cell against a cell, where a third group makes the wholes differ by many.
    let two = "SELECT drg_code, count(*) AS n FROM stay WHERE age_years < 90 AND sex = 'F' \
               GROUP BY drg_code ORDER BY 1";
    let before = "SELECT drg_code, sex, count(*) AS n FROM stay GROUP BY 1, 2 ORDER BY 1, 2";
    let region = spread(groups(6)).await;
    assert_eq!(rows(&region, before).await.len(), 4);
    let told = rows(&region, two).await;
    assert!(told.iter().all(|row| row[0] != "DA1"), "{told:?}");
    // What remains of a whole: all less one group, and all but that group less a few.
    let region = spread(groups(5)).await;
    assert_eq!(rows(&region, by_drg).await.len(), 2);
    refused(
        &region,
        "SELECT count(*) AS n FROM stay WHERE NOT (drg_code = 'DB1') AND age_years < 90",
    )
    .await;
}

/// 300 stays in four groups, of which RR1 has four and DC1 is the smallest of the others.
fn grouped() -> Vec<Stay> {
    let mut all = stays(300, 0, |_| ());
    for (number, stay) in (0..).zip(&mut all) {
        stay.drg = match number {
            0..4 => "RR1",
            4..70 => "DC1",
            70..180 => "DA1",
            _ => "DB1",
        };
    }
    all
}

/// Asks region and hospital the same; the latter's answers without its name.
async fn both(stays: Vec<Stay>) -> [(Region, bool); 2] {
    [(spread(stays.clone()).await, true), (hospital(stays).await, false)]
}

/// The question as `is_pooled` calls for it, grouped by group code or not at all.
fn counted(condition: &str, by_group: bool, is_pooled: bool) -> String {
    let mut names = Vec::new();
    names.extend((!is_pooled).then_some("hospital_id"));
    names.extend(by_group.then_some("drg_code"));
    let list: String = names.iter().map(|name| format!("{name}, ")).collect();
    let by =
        if names.is_empty() { String::new() } else { format!("GROUP BY {}", names.join(", ")) };
    format!("SELECT {list}count(*) AS n FROM stay {condition} {by} ORDER BY n")
}

/// What the rows count.
async fn counts(region: &Region, sql: &str) -> Vec<String> {
    rows(region, sql).await.into_iter().filter_map(|mut row| row.pop()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_withheld_group_does_not_follow_from_a_total() {
    for (region, is_pooled) in both(grouped()).await {
        assert_eq!(counts(&region, &counted("", false, is_pooled)).await, ["300"]);
        let answer = region.ask(&counted("", true, is_pooled)).await.unwrap();
        let told: Vec<_> = answer.rows().into_iter().filter_map(|mut row| row.pop()).collect();
        // DC1, the smallest of the others, is withheld beside RR1.
        assert_eq!(told, ["110", "120"]);
        assert_eq!(answer.release.cells_withheld, 2);
        // Nor is it told by itself from then on; both together are no secret.
        refused(&region, &counted("WHERE drg_code = 'DC1'", false, is_pooled)).await;
        let together = counted("WHERE drg_code IN ('DC1', 'RR1')", false, is_pooled);
        assert_eq!(counts(&region, &together).await, ["70"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_before_hides_nobody() {
    for (region, is_pooled) in both(grouped()).await {
        // The group that would hide RR1 is told first.
        let one = counted("WHERE drg_code = 'DC1'", false, is_pooled);
        assert_eq!(counts(&region, &one).await, ["66"]);
        // So one of the others has to, which are about as large.
        let told = counts(&region, &counted("", true, is_pooled)).await;
        let (shown, hidden) = match told.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["66", "110"] => ("DA1", "DB1"),
            ["66", "120"] => ("DB1", "DA1"),
            _ => panic!("{told:?}"),
        };
        let one = |code| counted(&format!("WHERE drg_code = '{code}'"), false, is_pooled);
        refused(&region, &one(hidden)).await;
        assert_eq!(counts(&region, &one(shown)).await, told[1..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_few_in_two_groups_are_no_more_than_they_are() {
    // Six patients with a stay in each of two groups: twelve stays, and no twelve persons.
    let mut all = stays(132, 0, |_| ());
    for (number, stay) in (0..).zip(&mut all) {
        stay.drg = match number {
            0..6 => "AA1",
            6..12 => "BB1",
            12..70 => "CC1",
            _ => "DD1",
        };
        if number < 12 {
            stay.person = format!("in a series {}", number % 6);
        }
    }
    let region = hospital(all).await;
    assert_eq!(counts(&region, &counted("", true, false)).await, ["62"], "CC1 hides them");
    refused(&region, &counted("WHERE drg_code = 'CC1'", false, false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_does_not_follow_from_the_margins_of_its_table() {
    // Sex by payer: three women of one payer, and enough of everybody else.
    let mut all = stays(120, 0, |_| ());
    for (number, stay) in (0..).zip(&mut all) {
        let (sex, payer) = match number {
            0..3 => ("F", "UEBMI"),
            3..23 => ("F", "URRBMI"),
            23..48 => ("F", "self"),
            48..63 => ("M", "UEBMI"),
            63..93 => ("M", "URRBMI"),
            _ => ("M", "self"),
        };
        (stay.sex, stay.payer) = (sex, payer);
    }
    let region = hospital(all).await;
    let table = |by: &str| {
        format!("SELECT hospital_id, {by}, count(*) AS n FROM stay GROUP BY hospital_id, {by}")
    };
    let told = rows(&region, &table("sex, payer")).await;
    // The three, the fifteen of their payer, the twenty of their sex, and the thirty where these meet.
    let mut sizes: Vec<&str> = told.iter().map(|row| row[3].as_str()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, ["25", "27"], "{told:?}");
    // The margins are told, and with them every sum that leaves the three among others.
    for (by, expected) in [("sex", vec!["48", "72"]), ("payer", vec!["18", "50", "52"])] {
        let mut told = counts(&region, &table(by)).await;
        told.sort_unstable();
        assert_eq!(told, expected);
    }
    // Neither the cells that hide them, nor everybody else, nor one of them and a group that was told.
    for condition in [
        "sex = 'F' AND payer = 'URRBMI'",
        "NOT (sex = 'F' AND payer = 'URRBMI')",
        "(sex = 'F' AND payer = 'URRBMI') OR (sex = 'M' AND payer = 'self')",
    ] {
        refused(&region, &counted(&format!("WHERE {condition}"), false, false)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_is_no_disguise() {
    // Each stay has several fees; its patients are the same with and without them.
    let joined = "count(DISTINCT s.stay_key) AS n, sum(f.amount) AS cost FROM stay s JOIN fee f ON \
                  s.stay_key = f.stay_key WHERE s.age_years < 90";
    let region = spread(old(4)).await;
    assert_eq!(rows(&region, ALL).await[0][0], "180");
    refused(&region, &format!("SELECT {joined}")).await;
    let region = hospital(old(4)).await;
    assert_eq!(counts(&region, &counted("", false, false)).await, ["180"]);
    refused(&region, &format!("SELECT s.hospital_id, {joined} GROUP BY 1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_which_nothing_is_told_opens_nothing() {
    // Months of which each holds few, so that every group by month is withheld.
    let mut all = grouped();
    for (month, stay) in (1..=12).cycle().zip(&mut all) {
        stay.month = month;
    }
    let region = hospital(all).await;
    assert_eq!(counts(&region, &counted("", true, false)).await, ["110", "120"]);
    let by_month = "SELECT hospital_id, drg_code, date_trunc('month', discharged_at) AS m, count(*) AS n \
                    FROM stay GROUP BY 1, 2, 3";
    region.ask(by_month).await.unwrap();
    refused(&region, &counted("WHERE drg_code = 'DC1'", false, false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_is_known_after_a_restart() {
    let region = spread(old(3)).await;
    assert_eq!(rows(&region, ALL).await[0][0], "180");
    region.kill_witness();
    region.start_witness(None).await.unwrap();
    refused(&region, YOUNG).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_snapshot_with_a_few_more_does_not_tell_them() {
    for (more, is_told) in [(4, false), (30, true)] {
        let region = spread(old(0)).await;
        assert_eq!(rows(&region, ALL).await[0][0], "180");
        // What h-1 held, under the same key, and a few more.
        let folder = tempfile::tempdir().unwrap();
        let own = old(0).into_iter().step_by(3).chain((500..500 + more).map(Stay::plain));
        let source = fixture::write(folder.path(), "h-1", own);
        tokio::task::block_in_place(|| region.site("h-1").ingest(&source, &fixture::mapping()))
            .unwrap();
        if is_told {
            assert_eq!(rows(&region, ALL).await[0][0], (180 + more).to_string());
        } else {
            refused(&region, ALL).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_fits_do_not_differ_by_a_few() {
    let region = spread(old(4)).await;
    let folder = tempfile::tempdir().unwrap();
    let user = user_folder(&region, folder.path());
    let user = user.to_str().unwrap();
    let base = ["fit", "total_cost ~ los_days", "--region", user, "--family", "gamma"];
    let fit = async |words: &[&str]| consilium(&[&base[..], words].concat()).await;
    let first = fit(&["--name", "all"]).await;
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let second = fit(&["--name", "young", "--where", "age_years < 90"]).await;
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(77), "{said}");
    assert!(said.contains("nearly the same patients"), "{said}");
    // A fit is no nearer to a question than to a fit.
    refused(&region, YOUNG).await;
    // Over the same patients it can be repeated with other terms.
    let third = fit(&["--name", "again", "--where", "age_years >= 0"]).await;
    assert!(third.status.success(), "{}", String::from_utf8_lossy(&third.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hospitals_own_cells_do_not_differ_by_a_few() {
    let region = hospital(old(4)).await;
    let all = "SELECT hospital_id, count(*) AS n, sum(total_cost) AS cost FROM stay GROUP BY 1";
    let young = all.replace("stay GROUP", "stay WHERE age_years < 90 GROUP");
    assert_eq!(rows(&region, all).await[0][1], "180");
    refused(&region, &young).await;
    // Each attempt is paid for, and a restart forgets nothing.
    region.site("h-1").stop().await;
    region.site("h-1").start().await.unwrap();
    refused(&region, &young).await;
    let again = all.replace("stay GROUP", "stay WHERE age_years >= 0 GROUP");
    assert_eq!(rows(&region, &again).await[0][1], "180");
    // A group that loses a few is withheld, the others are told.
    let region = hospital(old(4)).await;
    let by_sex = "SELECT hospital_id, sex, payer, count(*) AS n FROM stay GROUP BY 1, 2, 3";
    assert_eq!(rows(&region, by_sex).await.len(), 2);
    let few = "SELECT hospital_id, payer, count(*) AS n FROM stay WHERE age_years < 90 \
               AND sex = 'F' GROUP BY 1, 2";
    refused(&region, few).await;
}
