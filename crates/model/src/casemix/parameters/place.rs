//! Where in a file of rules a field is.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

/// What a place is called that belongs to no field.
const NO_FIELD: &str = "file";

type Entry<'a, 'i> = (&'a Spanned<DeString<'i>>, &'a Spanned<DeValue<'i>>);

/// The line, from 1, of a byte of the text.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// The line, from 1, of a field such as `trim.multiple.low`; of the deepest section of it that
/// exists when the field does not.
pub(super) fn line_of(text: &str, field: &str) -> usize {
    let Ok(document) = DeTable::parse(text) else { return 1 };
    let mut table = document.get_ref();
    let mut offset = 0;
    for part in field.split('.') {
        let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == part) else { break };
        offset = key.span().start;
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    line_at(text, offset)
}

/// The innermost field or section that holds a byte of the text.
pub(super) fn field_at(text: &str, offset: usize) -> String {
    let Ok(document) = DeTable::parse(text) else { return NO_FIELD.to_owned() };
    let path = path_to(document.get_ref(), offset);
    if path.is_empty() { NO_FIELD.to_owned() } else { path.join(".") }
}

fn path_to(table: &DeTable<'_>, offset: usize) -> Vec<String> {
    let holds = |(key, value): &Entry<'_, '_>| {
        key.span().contains(&offset) || value.span().contains(&offset)
    };
    // A section's own entries are looked at first: its span ends where its header does.
    let within = table.iter().find_map(|(key, value)| {
        let DeValue::Table(inner) = value.get_ref() else { return None };
        let rest = path_to(inner, offset);
        (!rest.is_empty()).then(|| [vec![key.get_ref().to_string()], rest].concat())
    });
    let here = || table.iter().find(holds).map(|(key, _)| vec![key.get_ref().to_string()]);
    within.or_else(here).unwrap_or_default()
}
