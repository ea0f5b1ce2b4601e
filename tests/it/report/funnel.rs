//! Forty hospitals under a model, three far outside the funnel, one that told nothing.

use cli::benchmark::oe::{Standing, Standings};
use model::casemix::standardised::{Ratio, Sums};
use serde_json::json;

/// Hospitals that told both sums.
pub(super) const TOLD: u32 = 40;

pub(super) fn standings() -> Standings {
    let card = json!({
        "format": 1, "name": "deaths", "created_at": "2024-05-01T00:00:00Z", "asker": "ana",
        "formula": "died ~ age_band + severity", "family": "binomial", "link": "logit",
        "condition": "", "ridge": 0.0, "firth": false, "weight": "",
        "design": {
            "response": "died", "response_transform": "event", "offset": null, "factors": [],
            "numbers": [],
        },
        "coefficients": [], "covariance": [],
        "fit": {
            "stays": 90_000, "residual_degrees": 89_990, "deviance": 1.0, "null_deviance": 2.0,
            "pearson_dispersion": 1.0, "dispersion": 1.0, "shape": null, "shape_standard_error": null,
            "log_likelihood": -1.0, "aic": 1.0, "bic": 1.0, "response_mean": 0.01,
            "withheld_pairs": 0, "steps": 5, "trace": [],
        },
        "provenance": {
            "scope": "pooled", "mode": "masked", "snapshots": {}, "left_out": {}, "rounds": [],
            "bytes_received": 0, "elapsed_ms": 0, "restarts": 0, "floor": [11, 11, 3], "schemes": [],
        },
    });
    let mut hospitals: Vec<Standing> = (0..TOLD).map(standing).collect();
    hospitals.push(Standing {
        hospital: "h-<b>silent</b>".to_owned(),
        tier: String::new(),
        stays: 0,
        sums: None,
        ratio: None,
    });
    Standings {
        region: "demo & test".to_owned(),
        card: serde_json::from_value(card).unwrap(),
        hospitals,
        missing: Vec::new(),
        counts: true,
    }
}

fn standing(index: u32) -> Standing {
    let expected = 4.0 + 3.1 * f64::from(index);
    let factor = match index {
        5 => 2.6,
        20 => 1.6,
        33 => 0.55,
        _ => 1.0 + 0.1 * f64::from(index % 5) - 0.2,
    };
    let sums = Sums { observed: (expected * factor).round(), expected, variance: 0.97 * expected };
    Standing {
        hospital: format!("h-{index:03}"),
        tier: ["tertiary", "secondary", "primary"][usize::try_from(index % 3).unwrap()].to_owned(),
        stays: u64::from(100 + 70 * index),
        ratio: Ratio::of(&sums, true),
        sums: Some(sums),
    }
}
