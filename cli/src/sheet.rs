//! Tables for people, in one style. Widths follow the terminal; without one nothing is wrapped.

use comfy_table::modifiers::UTF8_ROUND_CORNERS;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, ContentArrangement, Table};
use num_traits::ToPrimitive as _;

/// Where a column's text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table that is filled row by row.
#[derive(Debug)]
pub struct Sheet(Table);

impl Sheet {
    /// An empty table with these headings.
    #[must_use]
    pub fn new<'a>(headings: impl IntoIterator<Item = (&'a str, Align)>) -> Self {
        let (names, aligns): (Vec<String>, Vec<Align>) =
            headings.into_iter().map(|(name, align)| (printable(name), align)).unzip();
        let mut table = Table::new();
        table
            .load_preset(UTF8_FULL_CONDENSED)
            .apply_modifier(UTF8_ROUND_CORNERS)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_header(names);
        for (column, align) in table.column_iter_mut().zip(aligns) {
            column.set_cell_alignment(match align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            });
        }
        Self(table)
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.add_row(cells.into_iter().map(|cell| printable(&cell)).collect::<Vec<_>>());
    }

    /// The table without spaces at line ends.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.trim_fmt()
    }
}

/// The text without control characters: a code list is data, and a terminal obeys escapes.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

/// A number for people: two decimals from 100 on, four significant digits below.
#[must_use]
pub fn number(value: f64) -> String {
    const SMALLEST: f64 = 1e-4;
    let size = value.abs();
    if !value.is_finite() {
        return String::new();
    }
    if size <= f64::MIN_POSITIVE {
        return "0".to_owned();
    }
    if size >= 100.0 {
        return format!("{value:.2}");
    }
    if size < SMALLEST {
        return format!("{value:.3e}");
    }
    // A number of magnitude m has m + 1 digits before the point.
    let magnitude = size.log10().floor().to_i32().unwrap_or(0);
    let decimals = usize::try_from(3 - magnitude).unwrap_or(0);
    format!("{value:.decimals$}")
}

/// A whole number with thousands separated by commas.
#[must_use]
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share of one as a percentage with one decimal.
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_sensible_digits() {
        for (value, text) in [
            (0.0, "0"),
            (12345.678, "12345.68"),
            (-100.0, "-100.00"),
            (12.3456, "12.35"),
            (1.5, "1.500"),
            (0.012_345, "0.01235"),
            (0.000_012, "1.200e-5"),
            (f64::NAN, ""),
        ] {
            assert_eq!(number(value), text);
        }
        assert_eq!((grouped(0), grouped(999), grouped(1_234_567)), {
            ("0".into(), "999".into(), "1,234,567".into())
        });
        assert_eq!(percent(0.9614), "96.1 %");
    }

    #[test]
    fn a_sheet_aligns_wide_characters_and_stops_escapes() {
        let mut sheet = Sheet::new([("name", Align::Left), ("n", Align::Right)]);
        sheet.row(["阑尾\u{1b}".to_owned(), "7".to_owned()]);
        sheet.row(["ab".to_owned(), "12".to_owned()]);
        let text = sheet.render();
        assert_eq!(
            text,
            "╭───────┬────╮\n│ name  ┆  n │\n╞═══════╪════╡\n│ 阑尾� ┆  7 │\n│ ab    ┆ 12 │\n╰───────┴────╯"
        );
    }
}
