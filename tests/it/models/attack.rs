//! Attempts to learn about one patient by way of a model.

use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region};

use super::{coefficients, json, refusal};
use crate::client::user_folder;

/// 900 stays in four hospitals. One patient alone is both DB1 and male; three groups have three
/// stays each.
fn stay(hospital: u32, number: u32) -> Stay {
    let plain = Stay::plain(number);
    let (drg, sex) = match number {
        0 if hospital == 0 => ("DB1", "M"),
        1..=3 if hospital == 1 => ("RR1", "F"),
        _ if number.is_multiple_of(3) => ("DB1", "F"),
        _ if number.is_multiple_of(2) => ("DA1", "M"),
        _ => ("DA1", "F"),
    };
    let cost = if number == 0 && hospital == 0 {
        77_777_700
    } else {
        1_000_000 + i64::from(number % 50) * 1_000
    };
    Stay { drg, sex, cost_cents: cost, los_days: 1 + number % 9, ..plain }
}

async fn region(folder: &std::path::Path) -> Region {
    let hospitals = (0..4).map(|hospital| {
        let id = format!("h-{hospital}");
        let source = fixture::write(folder, &id, (0..225).map(|number| stay(hospital, number)));
        HospitalSource::small(&id, source)
    });
    Region::builder().hospitals(hospitals.collect::<Vec<_>>()).start().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_alone_in_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let region = region(folder.path()).await;
    let user = user_folder(&region, folder.path());
    let user = user.to_str().unwrap();
    let fit = |formula: &'static str, words: &[&'static str]| {
        let base = ["fit", formula, "--region", user, "--family", "gamma", "--format", "json"];
        [&base[..], words].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let words = |list: &[String]| list.to_vec();

    // An interaction in which one patient stands alone.
    let asked = words(&fit("total_cost ~ drg_code*sex", &[]));
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let said = refusal(&asked).await;
    assert!(said.contains("oo few patients stand behind"), "{said}");
    assert!(said.contains("drg_code=OTHER:sex=M"), "{said}");
    assert!(!said.contains("777"), "{said}");

    // A level with three patients is no level: it is part of OTHER, and OTHER too small takes the
    // smallest level in. Nobody is left out, who would be the difference to a question about all.
    let asked = fit("total_cost ~ drg_code", &[]);
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let card = json(&asked).await;
    let names: Vec<_> = coefficients(&card, "estimate").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["(Intercept)", "drg_code=OTHER"]);
    assert_eq!(card["fit"]["stays"], 900);

    // The main effects alone pass, but the pair of DB1 and M is withheld.
    let asked = fit("total_cost ~ drg_code + sex", &[]);
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let card = json(&asked).await;
    assert!(card["fit"]["withheld_pairs"].as_u64().unwrap() > 0);

    // A filter that leaves one patient, and one that leaves a few.
    for condition in ["drg_code = 'DB1' AND sex = 'M'", "drg_code = 'RR1'"] {
        let base = ["fit", "total_cost ~ los_days", "--region", user, "--family", "gamma"];
        let said = refusal(&[&base[..], &["--where", condition]].concat()).await;
        assert!(said.contains("Too few patients or hospitals"), "{condition}: {said}");
    }

    // More parameters than the rule of thirty stays for each.
    let many = "total_cost ~ drg_code*sex*log(los_days) + los_days + los_days^2 + los_days^3 + \
                sqrt(los_days) + age_years";
    let base = ["fit", many, "--region", user, "--family", "gamma", "--where", "los_days <= 2"];
    let said = refusal(&base).await;
    assert!(said.contains("parameters and 200 stays"), "{said}");

    // What would take rows out of their place: conditions that are none, other tables, identity.
    for (condition, part) in [
        ("sex = 'F') GROUP BY sex, (sex", "syntax"),
        ("sex = 'F') OR (sex = 'M'", "syntax"),
        ("1 = 1) UNION SELECT count(*) FROM stay WHERE (1 = 1", "syntax"),
        ("person_key = 7", "identity"),
        ("total_cost > 12345.67", "granularity"),
    ] {
        let base = ["fit", "total_cost ~ los_days", "--region", user, "--family", "gamma"];
        let output = crate::client::consilium(&[&base[..], &["--where", condition]].concat()).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(77), "{condition}: {said}");
        assert!(said.contains(part), "{condition}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hospitals_decide_which_models_they_take_part_in() {
    let folder = tempfile::tempdir().unwrap();
    let hospitals = (0..8).map(|hospital| {
        let id = format!("h-{hospital}");
        let source =
            fixture::write(folder.path(), &id, (0..225).map(|number| stay(hospital, number)));
        HospitalSource::small(&id, source)
    });
    let mut closed = privacy::Policy::answering();
    closed.models.fit = false;
    let region = Region::builder()
        .hospitals(hospitals.collect::<Vec<_>>())
        .policy_of("h-7", closed)
        .start()
        .await
        .unwrap();
    let user = user_folder(&region, folder.path());
    let user = user.to_str().unwrap();
    for formula in ["total_cost ~ drg_code", "total_cost ~ drg_code + sex"] {
        let base = ["fit", formula, "--region", user, "--family", "gamma", "--format", "json"];
        let card = json(&base).await;
        let provenance = &card["provenance"];
        assert_eq!(provenance["left_out"]["h-7"], "refused: model");
        // The levels were told over all eight, so seven would give the eighth away.
        let held_back = provenance["left_out"].as_object().unwrap().values();
        assert_eq!(held_back.filter(|why| *why == "held_back").count(), 2);
        assert_eq!(provenance["snapshots"].as_object().unwrap().len(), 5);
        assert_eq!(provenance["restarts"], 1);
        // The same with the levels that are known now: nobody is forgotten.
        let again = json(&base).await;
        assert_eq!(again["provenance"]["left_out"], provenance["left_out"]);
        assert_eq!(again["provenance"]["restarts"], 0);
        assert_eq!(again["coefficients"], card["coefficients"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_refuses_one_factor_takes_no_part_in_any_sum() {
    let folder = tempfile::tempdir().unwrap();
    let hospitals = (0..8).map(|hospital| {
        let id = format!("h-{hospital}");
        let stays = (0..225).map(|number| stay(hospital, number));
        HospitalSource::small(&id, fixture::write(folder.path(), &id, stays))
    });
    let mut closed = privacy::Policy::answering();
    closed.columns.groupable = vec!["stay.drg_code".to_owned()];
    let builder = Region::builder().hospitals(hospitals.collect::<Vec<_>>());
    let region = builder.policy_of("h-7", closed).start().await.unwrap();
    let user = user_folder(&region, folder.path());
    let user = user.to_str().unwrap();
    let formula = "total_cost ~ drg_code + sex";
    let base = ["fit", formula, "--region", user, "--family", "gamma", "--format", "json"];
    for restarts in [1, 0] {
        let card = json(&base).await;
        let provenance = &card["provenance"];
        assert_eq!(provenance["left_out"]["h-7"], "refused: grouping");
        assert_eq!(provenance["snapshots"].as_object().unwrap().len(), 5, "{provenance}");
        assert_eq!(provenance["restarts"], restarts);
    }
}
