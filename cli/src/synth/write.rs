//! Stays as CSV lines. No field holds a comma or a quote, so none is quoted.

use std::io::Write as _;

use super::SynthHospital;
use super::groups::{drg_code, subgroup_code};
use super::stay::{FEES, SEVERITIES, Stay};

/// Columns before the fees.
const COLUMNS: &str = "stay_id,person_id,admitted_at,discharged_at,los_days,age_years,sex,payer,\
admission_route,department,disposition,died,icu_hours,vent_hours,principal_diagnosis,\
principal_procedure,drg_scheme,drg_code,adrg_code,mdc_code,drg_type,severity,mortality_risk,\
readmit31_planned,referred_in,referred_out,total_charge,total_cost,fund_paid,self_paid,\
diagnosis_2,poa_2,diagnosis_3,poa_3,diagnosis_4,poa_4,diagnosis_5,poa_5,diagnosis_6,poa_6,\
procedure_at,procedure_level,procedure_2,procedure_3";
const SECONDARY_DIAGNOSES: usize = 5;
const EXTRA_PROCEDURES: usize = 2;
/// Days before each month of a leap year.
const MONTH_STARTS: [i64; 12] = [0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335];
/// Grouper of the generated groups, as name@version.
pub const DRG_SCHEME: &str = "SYN-DRG@1.0";

/// Appends the header line.
pub(super) fn header(out: &mut Vec<u8>) {
    out.extend_from_slice(COLUMNS.as_bytes());
    for fee in FEES {
        out.extend_from_slice(b",fee_");
        out.extend_from_slice(fee.as_bytes());
    }
    out.push(b'\n');
}

/// Appends one stay.
pub(super) fn row(out: &mut Vec<u8>, hospital: &SynthHospital, stay: &Stay) {
    let mut line = Line { out };
    line.first(format_args!("{}-{:08}", hospital.id, stay.number + 1));
    line.format(format_args!("{}-p{:08}", hospital.id, stay.person));
    line.time(stay.admitted, stay.admitted_minute);
    line.time(stay.discharged, stay.discharged_minute);
    line.format(format_args!("{},{}", stay.days, stay.age));
    let adrg = stay.adrg;
    for text in [
        if stay.female { "F" } else { "M" },
        stay.payer,
        stay.route,
        adrg.department,
        stay.disposition,
        if stay.died { "1" } else { "0" },
    ] {
        line.text(text);
    }
    line.format(format_args!("{},{}", stay.icu_hours, stay.vent_hours));
    line.text(stay.diagnosis);
    line.text(stay.procedure.unwrap_or_default());
    line.text(DRG_SCHEME);
    line.text(&subgroup_code(&drg_code(adrg, stay.severity), stay.subgroup));
    for text in [
        adrg.code,
        adrg.code.get(..1).unwrap_or_default(),
        adrg.kind.as_str(),
        SEVERITIES[stay.severity],
        stay.mortality_risk,
        if stay.readmit_planned { "1" } else { "0" },
        stay.referred_in,
        stay.referred_out,
    ] {
        line.text(text);
    }
    for cents in [stay.charge, stay.cost, stay.fund, stay.charge - stay.fund] {
        line.money(cents);
    }
    for place in 0..SECONDARY_DIAGNOSES {
        let (code, present) = stay.others.get(place).copied().unwrap_or_default();
        line.text(code);
        line.text(match code {
            "" => "",
            _ if present => "present",
            _ => "absent",
        });
    }
    procedures(&mut line, stay);
    for fee in stay.fees {
        if fee == 0 { line.text("") } else { line.money(fee) }
    }
    line.out.push(b'\n');
}

fn procedures(line: &mut Line<'_>, stay: &Stay) {
    if stay.procedure.is_some() {
        line.time(stay.admitted, stay.admitted_minute);
        line.text(
            ["1", "2", "3", "4"][(stay.severity + usize::from(stay.adrg.charge > 1e4)).min(3)],
        );
    } else {
        line.out.extend_from_slice(b",,");
    }
    for place in 0..EXTRA_PROCEDURES {
        line.text(stay.extra.get(place).copied().unwrap_or_default());
    }
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0
}

fn days_of(year: i64) -> i64 {
    365 + i64::from(is_leap(year))
}

/// Writes fields; writing to memory cannot fail.
struct Line<'a> {
    out: &'a mut Vec<u8>,
}

impl Line<'_> {
    fn first(&mut self, arguments: std::fmt::Arguments<'_>) {
        let _ = self.out.write_fmt(arguments);
    }

    fn format(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.out.push(b',');
        let _ = self.out.write_fmt(arguments);
    }

    fn text(&mut self, text: &str) {
        self.out.push(b',');
        self.out.extend_from_slice(text.as_bytes());
    }

    fn money(&mut self, cents: u64) {
        self.format(format_args!("{}.{:02}", cents / 100, cents % 100));
    }

    fn time(&mut self, day: i64, minute: u32) {
        let (mut year, mut day) = (2024, day);
        while day < 0 {
            year -= 1;
            day += days_of(year);
        }
        let starts = MONTH_STARTS.map(|start| start - i64::from(start > 31 && !is_leap(year)));
        let month = starts.partition_point(|start| *start <= day).max(1);
        let of_month = day - starts[month - 1] + 1;
        let (hour, minute) = (minute / 60, minute % 60);
        self.format(format_args!("{year}-{month:02}-{of_month:02} {hour:02}:{minute:02}:00"));
    }
}
