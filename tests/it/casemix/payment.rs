//! A fund is divided to the cent, by every method, live and shadow.

use model::casemix::money::parse_cents;
use model::casemix::parameters::SHIPPED;
use privacy::Policy;
use serde_json::Value;
use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region};

use super::{json, rows};
use crate::client::{consilium, user_folder};

const FUND: &str = "1234567.89";

fn cents(value: &Value) -> i128 {
    parse_cents(value.as_str().unwrap()).unwrap()
}

/// The amounts of hospitals, and within each those of its groups, add up.
fn check(run: &Value) {
    let settlements = rows(run, "settlements");
    let gross: i128 = settlements.iter().map(|one| cents(&one["gross"])).sum();
    assert_eq!(gross, cents(&run["distributed"]));
    for one in settlements {
        let groups: i128 = rows(one, "groups").iter().map(|group| cents(&group["amount"])).sum();
        assert_eq!(groups, cents(&one["gross"]));
        assert_eq!(cents(&one["balance"]), cents(&one["gross"]) - cents(&one["prepaid"]));
    }
}

/// Hospitals of two tiers with three groups; a few stays are far from their group's mean.
async fn region(folder: &std::path::Path) -> Region {
    region_under(Policy::answering(), folder).await
}

async fn region_under(policy: Policy, folder: &std::path::Path) -> Region {
    let hospitals =
        [("h-1", "tertiary"), ("h-2", "tertiary"), ("h-3", "primary"), ("h-4", "primary")];
    let hospitals = hospitals.into_iter().enumerate().map(|(place, (id, tier))| {
        let place = i64::try_from(place).unwrap();
        let stay = |number: u32| {
            let drg = ["DA1", "DB1", "DC1"][usize::try_from(number % 3).unwrap()];
            let plain = Stay::plain(number);
            let cost = match number % 90 {
                0..15 => 100_000,
                15..30 => 4_000_000,
                _ => 1_000_000 + 10_000 * place,
            };
            Stay { drg, cost_cents: cost * i64::from(1 + number % 3), ..plain }
        };
        let source = fixture::write(folder, id, (0..360).map(stay));
        HospitalSource { tier: tier.to_owned(), ..HospitalSource::small(id, source) }
    });
    Region::builder().policy(policy).hospitals(hospitals).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fund_is_divided_to_the_cent() {
    let folder = tempfile::tempdir().unwrap();
    let region = region(folder.path()).await;
    let user = user_folder(&region, folder.path());
    let user = user.to_str().unwrap();
    let rules = folder.path().join("rules.toml");
    let text = SHIPPED
        .replace("[payment.tier]", "[payment.tier]\ntertiary = 1.1\nprimary = 0.8")
        .replace("[payment.prepaid]", "[payment.prepaid]\nh-1 = \"100000.01\"");
    std::fs::write(&rules, text).unwrap();
    let rules = rules.to_str().unwrap();
    let base = ["payment", "simulate", "--region", user, "--fund", FUND, "--format", "json"];
    for method in ["drg-rate", "drg-points"] {
        let words = [&base[..], &["--method", method, "--against", rules]].concat();
        let found = json(&words).await;
        check(&found["live"]);
        check(&found["shadow"]);
        assert_eq!(cents(&found["live"]["distributed"]), 123_456_789);
        let differences = rows(&found, "differences");
        let sum: i128 = differences.iter().map(|one| cents(&one["difference"])).sum();
        assert_eq!((differences.len(), sum), (4, 0), "what one gets another loses");
        // Tertiary hospitals gain by their coefficient.
        assert!(
            cents(&differences[0]["difference"]) > 0 && cents(&differences[2]["difference"]) < 0
        );
        let prepaid = rows(&found["shadow"], "settlements");
        assert_eq!(prepaid[0]["prepaid"], "100000.01");
    }
    let found = json(&[&base[..], &["--method", "drg-rate"]].concat()).await;
    let deviations = rows(&found["live"], "deviations");
    let low: u64 = deviations.iter().map(|one| one["low_stays"].as_u64().unwrap_or(0)).sum();
    let high: u64 = deviations.iter().map(|one| one["high_stays"].as_u64().unwrap_or(0)).sum();
    assert_eq!((low, high), (4 * 60, 4 * 60), "{deviations:?}");
    // Nodes know no DIP codes yet, and say how they would.
    let dip = consilium(&[&base[..], &["--method", "dip-points"]].concat()).await;
    let said = String::from_utf8_lossy(&dip.stderr);
    assert_eq!(dip.status.code(), Some(65), "{said}");
    assert!(said.contains("--dip-list"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_stewards_word_all_cases_count_as_normal() {
    let folder = tempfile::tempdir().unwrap();
    let region = region_under(Policy::default(), folder.path()).await;
    let user = user_folder(&region, folder.path());
    let user = user.to_str().unwrap();
    let base = ["payment", "simulate", "--region", user, "--fund", FUND, "--method", "drg-rate"];
    let said = consilium(&base).await;
    let (code, note) = (said.status.code(), String::from_utf8_lossy(&said.stderr).into_owned());
    assert_eq!(code, Some(0), "{note}");
    assert!(note.contains("before its steward has decided"), "{note}");
    let found = json(&[&base[..], &["--format", "json"]].concat()).await;
    check(&found["live"]);
    let live = &found["live"];
    assert_eq!(
        (&live["deviation_waits"], &live["deviation_applied"]),
        (&true.into(), &false.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_rules_and_funds_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.toml");
    std::fs::write(&rules, SHIPPED.replace("low = 0.5\n", "low = 9.5\n")).unwrap();
    let words = |fund| {
        [
            "payment",
            "simulate",
            "--region",
            "r",
            "--method",
            "drg-rate",
            "--fund",
            fund,
            "--parameters",
            rules.to_str().unwrap(),
        ]
    };
    let output = consilium(&words("100")).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{said}");
    assert!(said.contains("rules.toml: line") && said.contains("deviation.low"), "{said}");
    for fund in ["0", "1.234", "abc", "-5"] {
        assert_eq!(consilium(&words(fund)).await.status.code(), Some(64), "{fund}");
    }
}
