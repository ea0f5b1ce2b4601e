//! [`Parameters::default`]: the shipped file as a value, so that it cannot fail to be read.

use std::collections::BTreeMap;

use super::{
    AlertRules, CatalogueRules, DeviationRules, IqrRules, LogSdRules, LosRules, MultipleRules,
    OutlierRules, Parameters, PaymentRules, QuantileRules, StandardOf, TrimRules, WeightRules,
};

/// Characters of a CHS-DRG code that name its ADRG.
const CHS_DRG_PREFIX: usize = 3;

impl Default for Parameters {
    fn default() -> Self {
        Self {
            name: "consilium-default".to_owned(),
            version: "1".to_owned(),
            valid_from: "2026-01-01".to_owned(),
            weight: WeightRules::default(),
            trim: TrimRules::default(),
            alerts: AlertRules::default(),
            payment: PaymentRules::default(),
            deviation: DeviationRules::default(),
            catalogue: CatalogueRules::default(),
            outlier: OutlierRules::default(),
        }
    }
}

impl Default for WeightRules {
    fn default() -> Self {
        Self {
            source: "Minimum number and prefix: general knowledge (F1). Ungrouped codes: \
                     CHS-DRG's 0000 and APR-DRG's 955 and 956."
                .to_owned(),
            minimum_stays: 5,
            adrg_prefix: CHS_DRG_PREFIX,
            ungrouped: ["0000", "955", "956"].map(str::to_owned).to_vec(),
        }
    }
}

impl Default for TrimRules {
    fn default() -> Self {
        Self {
            source: "Multiples, quantiles, longest stay: quoted (F5). Logarithms and fences: \
                     general knowledge (F5)."
                .to_owned(),
            multiple: MultipleRules { low: 0.5, high: 2.0, extreme: 5.0 },
            quantile: QuantileRules {
                low: 0.025,
                high: 0.975,
                minimum_stays: 25,
                largest_share: 0.08,
            },
            log_sd: LogSdRules { sd: 3.0 },
            iqr: IqrRules { fences: 1.5 },
            los: LosRules { longest_days: Some(60) },
        }
    }
}

impl Default for AlertRules {
    fn default() -> Self {
        Self {
            source: "Thresholds of cost and length of stay: F16. Severity mix: general knowledge \
                     (F19). Minimum and false alarms: Consilium's own."
                .to_owned(),
            cost: 0.10,
            cost_early: 0.08,
            los: 0.20,
            standard: StandardOf::Tier,
            minimum_stays: 11,
            false_alarm: 0.01,
            skewed: true,
            severity_mix: true,
            mcc_suffix: "1".to_owned(),
            adrg_prefix: CHS_DRG_PREFIX,
        }
    }
}

impl Default for PaymentRules {
    fn default() -> Self {
        Self {
            source: "100 points for a mean stay: quoted (F7). Ratio 1: nothing is paid by anyone \
                     else (F11)."
                .to_owned(),
            base_points: 100.0,
            reimbursement_ratio: 1.0,
            tier: BTreeMap::new(),
            hospital: BTreeMap::new(),
            policy: BTreeMap::new(),
            prepaid: BTreeMap::new(),
            pools: BTreeMap::new(),
        }
    }
}

impl Default for DeviationRules {
    fn default() -> Self {
        Self {
            source: "Quoted in two sources (F10).".to_owned(),
            enabled: true,
            low: 0.5,
            high: 2.0,
            review: 5.0,
        }
    }
}

impl Default for CatalogueRules {
    fn default() -> Self {
        Self {
            source: "Years, core groups and auxiliary split: quoted (F8, F9).".to_owned(),
            core_minimum: 15,
            core_share: 0.85,
            year_weights: vec![1, 2, 7],
            split_cv: 0.7,
            split_gain: 0.2,
            split_minimum: 15,
        }
    }
}

impl Default for OutlierRules {
    fn default() -> Self {
        Self { source: "Read (F18).".to_owned(), share: 0.8 }
    }
}
