//! A catalogue in the forms in which it is written.

use model::casemix::catalogue::{DipGroup, DipList};

use super::CatalogueFormat;
use crate::console::Console;
use crate::exit::Failure;
use crate::message::Message;
use crate::sheet::{Align, Sheet, grouped};

/// Groups shown to people, those with the most stays first.
const GROUPS_SHOWN: usize = 25;

/// The code list as a file.
///
/// # Errors
/// [`Failure::Internal`], for a number that JSON cannot say.
pub fn json(list: &DipList) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(list);
    text.map(|text| text + "\n").map_err(|error| Failure::Internal(error.to_string()))
}

pub(super) fn print(
    list: &DipList,
    format: CatalogueFormat,
    console: Console,
) -> Result<(), Failure> {
    let text = match format {
        CatalogueFormat::Json => json(list)?,
        CatalogueFormat::Csv => csv(list)?,
        CatalogueFormat::Table => table(list, console),
    };
    console.data(|out| out.write_all(text.as_bytes()))
}

/// One line a group, and one for each part of its split.
fn csv(list: &DipList) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::Internal(error.to_string());
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let mut out = csv::Writer::from_writer(Vec::new());
    let heading = [
        "dip_code",
        "combination",
        "kind",
        "split_by",
        "part",
        "stays",
        "mean",
        "sd",
        "cv",
        "weight",
    ];
    out.write_record(heading).map_err(|error| failed(&error))?;
    for group in &list.groups {
        let DipGroup { dip_code, combination, kind, .. } = group;
        let (stays, mean) = (group.stays.to_string(), group.mean.to_string());
        let (sd, cv, weight) = (number(group.sd), number(group.cv), number(group.weight));
        let whole = [dip_code, combination, kind, "", "", &stays, &mean, &sd, &cv, &weight];
        out.write_record(whole).map_err(|error| failed(&error))?;
        for part in group.split.iter().flat_map(|split| &split.parts) {
            let by = group.split.as_ref().map_or("", |split| &split.by);
            let (stays, mean) = (part.stays.to_string(), part.mean.to_string());
            let (sd, cv, weight) = (number(part.sd), number(part.cv), number(part.weight));
            let name = part.part.as_str();
            let line = [dip_code, combination, kind, by, name, &stays, &mean, &sd, &cv, &weight];
            out.write_record(line).map_err(|error| failed(&error))?;
        }
    }
    let bytes = out.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}

fn table(list: &DipList, console: Console) -> String {
    let core = list.groups.iter().filter(|group| group.kind == "core").count();
    let years: Vec<_> = list.source.years.iter().map(|(year, _)| year.to_string()).collect();
    let (years, stays) = (years.join(", "), grouped(list.source.stays));
    let count = list.groups.len();
    let mut text = console
        .text(Message::DipTitle, &[&list.name, &list.version, &count, &core, &stays, &years]);
    text.push('\n');
    let headings = [
        (Message::DipCode, Align::Left),
        (Message::DipCombination, Align::Left),
        (Message::DipKind, Align::Left),
        (Message::Stays, Align::Right),
        (Message::MeanCost, Align::Right),
        (Message::SdCost, Align::Right),
        (Message::DipCv, Align::Right),
        (Message::DipWeight, Align::Right),
        (Message::DipSplit, Align::Left),
    ];
    let mut sheet = Sheet::new(headings.map(|(name, align)| (name.text(console.lang()), align)));
    let mut groups: Vec<&DipGroup> = list.groups.iter().collect();
    groups.sort_by(|a, b| b.stays.cmp(&a.stays).then_with(|| a.dip_code.cmp(&b.dip_code)));
    for group in groups.into_iter().take(GROUPS_SHOWN) {
        let digits = |value: Option<f64>, digits: usize| {
            value.map(|value| format!("{value:.digits$}")).unwrap_or_default()
        };
        sheet.row([
            group.dip_code.clone(),
            group.combination.clone(),
            group.kind.clone(),
            grouped(group.stays),
            digits(Some(group.mean), 0),
            digits(group.sd, 0),
            digits(group.cv, 2),
            digits(group.weight, 4),
            group.split.as_ref().map(|split| split.by.clone()).unwrap_or_default(),
        ]);
    }
    text.push_str(&sheet.render());
    text.push('\n');
    if count > GROUPS_SHOWN {
        text.push_str(&console.text(Message::MoreGroups, &[&(count - GROUPS_SHOWN)]));
        text.push('\n');
    }
    let share = format!("{:.1} %", list.core_coverage * 100.0);
    let unplaced = grouped(list.source.unplaced);
    text.push_str(&console.text(Message::DipCoverage, &[&share, &unplaced]));
    text.push('\n');
    if list.below_core_share {
        text.push_str(&console.text(Message::DipBelow, &[]));
        text.push('\n');
    }
    text
}
