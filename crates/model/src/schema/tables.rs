//! The governed tables themselves, as data.

use crate::casemix::combination;

use super::{Column, ColumnType, Grain, Kind, Table};

/// Every governed table.
pub const TABLES: &[Table] = &[
    Table {
        name: "stay",
        columns: STAY,
        one_row_per_stay: true,
        note: "one row per inpatient discharge",
    },
    Table {
        name: "diagnosis",
        columns: DIAGNOSIS,
        one_row_per_stay: false,
        note: "one row per diagnosis of a stay",
    },
    Table {
        name: "procedure",
        columns: PROCEDURE,
        one_row_per_stay: false,
        note: "one row per procedure of a stay",
    },
    Table {
        name: "fee",
        columns: FEE,
        one_row_per_stay: false,
        note: "one row per fee class of a stay",
    },
];

const CODE_PREFIXES: &[usize] = &[1, 2, 3, 4, 5];
/// Largest amount of one stay or fee, in whole units of currency.
const MAX_AMOUNT: i64 = 100_000_000;

const fn key(name: &'static str, note: &'static str) -> Column {
    Column {
        name,
        column_type: ColumnType::Key,
        kind: Kind::Id,
        required: true,
        grain: Grain::None,
        prefixes: &[],
        bounds: None,
        levels: 0,
        note,
    }
}

const fn code(name: &'static str, note: &'static str) -> Column {
    Column {
        name,
        column_type: ColumnType::Text,
        kind: Kind::Dimension,
        required: false,
        grain: Grain::Code,
        prefixes: &[],
        bounds: None,
        levels: 0,
        note,
    }
}

const fn required(column: Column) -> Column {
    Column { required: true, ..column }
}

const fn with_prefixes(column: Column) -> Column {
    Column { prefixes: CODE_PREFIXES, ..column }
}

const fn local(name: &'static str, note: &'static str) -> Column {
    Column { kind: Kind::Local, required: true, ..code(name, note) }
}

const fn flag(name: &'static str, note: &'static str) -> Column {
    Column { column_type: ColumnType::Boolean, ..code(name, note) }
}

const fn time(name: &'static str, note: &'static str) -> Column {
    Column { column_type: ColumnType::Timestamp, grain: Grain::Month, ..code(name, note) }
}

const fn whole(name: &'static str, bounds: (i64, i64), note: &'static str) -> Column {
    Column {
        column_type: ColumnType::Integer,
        kind: Kind::Number,
        grain: Grain::Whole,
        bounds: Some(bounds),
        ..code(name, note)
    }
}

const fn hours(name: &'static str, note: &'static str) -> Column {
    Column {
        column_type: ColumnType::Float,
        grain: Grain::Whole,
        ..whole(name, (0, 100_000), note)
    }
}

const fn money(name: &'static str, note: &'static str) -> Column {
    Column {
        column_type: ColumnType::Money,
        grain: Grain::Amount,
        ..whole(name, (-MAX_AMOUNT, MAX_AMOUNT), note)
    }
}

const STAY: &[Column] = &[
    key("stay_key", "the stay, inside its hospital"),
    key("person_key", "the person, inside their hospital"),
    local("hospital_id", "the hospital; makes a question per-hospital"),
    local("hospital_tier", "tertiary, secondary, primary"),
    local("hospital_county", "county or district of the hospital"),
    time("admitted_at", "admission, local time"),
    time("discharged_at", "discharge, local time"),
    whole("los_days", (0, 3_660), "length of stay in days; same day = 1"),
    code("los_band", "length of stay in bands: 1, 2-3, 4-7, 8-14, 15-30, 31-60, 61+"),
    Column { grain: Grain::AgeBand, ..whole("age_years", (0, 130), "age at admission in years") },
    Column { grain: Grain::Step(7), ..whole("age_days", (0, 366), "age in days under one year") },
    code("age_band", "five-year age band, top 90+; coarser where the source is coarser"),
    code("sex", "F, M, U"),
    code("payer", "who pays"),
    code("admission_route", "emergency, outpatient, transfer, other"),
    code("department", "discharging department"),
    code("disposition", "how the stay ended"),
    flag("died", "died in hospital"),
    hours("icu_hours", "hours in intensive care"),
    hours("vent_hours", "hours of ventilation"),
    Column { grain: Grain::Step(500), ..whole("birth_weight_g", (100, 10_000), "in grams") },
    with_prefixes(code("principal_diagnosis", "principal diagnosis code")),
    with_prefixes(code("principal_procedure", "principal procedure code")),
    code("drg_scheme", "grouper name@version"),
    code("drg_code", "diagnosis-related group"),
    code("adrg_code", "adjacent DRG"),
    code("mdc_code", "major diagnostic category"),
    code("drg_type", "medical, surgical, procedural"),
    code("dip_code", "diagnosis-intervention packet"),
    code("treatment_class", "conservative, diagnostic, therapeutic, surgery"),
    Column {
        levels: combination::LEVELS,
        ..code("dip_combination", "year|class|category|diagnosis:procedures, rare ones by ancestor")
    },
    code("severity", "severity of illness"),
    code("mortality_risk", "risk of mortality"),
    flag("readmit31_planned", "planned readmission within 31 days"),
    code("referred_in", "none, up, down"),
    code("referred_out", "none, up, down"),
    money("total_charge", "billed amount"),
    money("total_cost", "accounted cost"),
    money("fund_paid", "paid by the insurance fund"),
    money("self_paid", "paid by the patient"),
];

const DIAGNOSIS: &[Column] = &[
    key("stay_key", "the stay it belongs to"),
    key("person_key", "the person it belongs to"),
    whole("seq", (1, 200), "position on the front page, principal = 1"),
    required(with_prefixes(code("code", "diagnosis code"))),
    code("code_system", "ICD-10, ICD-10-CM, CCSR"),
    code("present_on_admission", "present, absent, unknown, undetermined"),
    flag("is_principal", "principal diagnosis"),
];

const PROCEDURE: &[Column] = &[
    key("stay_key", "the stay it belongs to"),
    key("person_key", "the person it belongs to"),
    whole("seq", (1, 200), "position on the front page, principal = 1"),
    required(with_prefixes(code("code", "procedure code"))),
    code("code_system", "ICD-9-CM-3, ICD-10-PCS, CCSR"),
    time("performed_at", "when it was done"),
    code("level", "operation level 1 to 4"),
    flag("is_principal", "principal procedure"),
];

const FEE: &[Column] = &[
    key("stay_key", "the stay it belongs to"),
    key("person_key", "the person it belongs to"),
    required(code("class", "bed, nursing, medical_service, examination, laboratory, ...")),
    required_money("amount", "billed amount of this class"),
];

const fn required_money(name: &'static str, note: &'static str) -> Column {
    required(money(name, note))
}
