//! Combinations of a stay's principal diagnosis and its procedures, of which a DIP catalogue is
//! made (F9), as one hierarchical code.
//!
//! `2024|surgery|K35|K35.8:47.01+47.09` reads: discharged in 2024, most invasive treatment an
//! operation, diagnosis category K35, diagnosis K35.8 with procedures 47.01 and 47.09. What stands
//! before each [`SEPARATOR`] is an *ancestor*: a combination that is too rare to be shown is added
//! up under the first ancestor that is not, so every stay is in exactly one cell.
//!
//! The year comes first because the catalogue weighs years against each other: were the year a
//! dimension of its own, a combination that is frequent over three years and rare in one would be
//! withheld in that year, and its stays with it. The class comes before the category because what
//! takes up the rest is a mixed group of one way of treatment, not of one organ.

use std::collections::BTreeSet;

/// Between the levels of a hierarchical code.
pub const SEPARATOR: char = '|';
/// Levels of a whole combination: year, class, category, diagnosis with procedures.
pub const LEVELS: u8 = 4;
/// Between a diagnosis and its procedures.
const PROCEDURES: char = ':';
/// Between procedures.
const AND: char = '+';
/// Longest combination, in bytes: a longer one is left at its category.
pub const MAX_BYTES: usize = 128;

/// How a stay was treated, from the least to the most invasive (F9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TreatmentClass {
    /// No procedure.
    Conservative,
    /// Nothing but diagnostic procedures.
    Diagnostic,
    /// A therapeutic procedure that is no operation.
    Therapeutic,
    /// An operation.
    Surgery,
}

/// One procedure of a stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Procedure<'a> {
    /// Its code.
    pub code: &'a str,
    /// Its code system, such as `ICD-9-CM-3`.
    pub system: Option<&'a str>,
    /// Operation level, where the front page gives one.
    pub level: Option<&'a str>,
}

/// A combination taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Combination<'a> {
    /// Year of discharge; `None` in a catalogue, which is of several years.
    pub year: Option<u16>,
    /// What follows the year, empty when nothing does: class, category, diagnosis and procedures.
    pub path: &'a str,
}

impl TreatmentClass {
    /// All of them, from the least to the most invasive.
    pub const ALL: [Self; 4] =
        [Self::Conservative, Self::Diagnostic, Self::Therapeutic, Self::Surgery];

    /// The name in the data model.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conservative => "conservative",
            Self::Diagnostic => "diagnostic",
            Self::Therapeutic => "therapeutic",
            Self::Surgery => "surgery",
        }
    }

    /// The class of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// The letter that begins codes of this class.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Conservative => 'C',
            Self::Diagnostic => 'D',
            Self::Therapeutic => 'T',
            Self::Surgery => 'S',
        }
    }
}

impl Procedure<'_> {
    /// Its class. ICD-9-CM volume 3 numbers its chapters: 00 to 86 are operations, 87 to 92
    /// diagnostic, 93 to 99 other treatment. (Biopsies and endoscopies stand among the operations
    /// of their organ and count as such.) In a system that is not known, a procedure with an
    /// operation level is an operation and any other a treatment.
    #[must_use]
    pub fn class(&self) -> TreatmentClass {
        let chapter = self.system.filter(|system| system.starts_with("ICD-9")).and_then(|_| {
            let digits = self.code.trim().get(..2)?;
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u8>().ok())?
        });
        match chapter {
            Some(0..=86) => TreatmentClass::Surgery,
            Some(87..=92) => TreatmentClass::Diagnostic,
            Some(_) => TreatmentClass::Therapeutic,
            None if self.level.is_some_and(|level| !level.trim().is_empty()) => {
                TreatmentClass::Surgery
            }
            None => TreatmentClass::Therapeutic,
        }
    }
}

/// The class of a stay: that of its most invasive procedure.
#[must_use]
pub fn class_of<'a>(procedures: impl IntoIterator<Item = Procedure<'a>>) -> TreatmentClass {
    let classes = procedures.into_iter().map(|procedure| procedure.class());
    classes.max().unwrap_or(TreatmentClass::Conservative)
}

/// Three-character category and four-character code of a diagnosis: `K35.800x001` is `K35` and
/// `K35.8`; `I10.x00`, whose fourth character only fills its place, is `I10` and `I10`. `None`
/// when there are no three characters.
#[must_use]
pub fn diagnosis(code: &str) -> Option<(String, String)> {
    let plain = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase());
    let plain: Vec<char> = plain.take(4).collect();
    let category: String = plain.get(..3)?.iter().collect();
    let whole = match plain.get(3) {
        None | Some('X') => category.clone(),
        Some(fourth) => format!("{category}.{fourth}"),
    };
    Some((category, whole))
}

/// The hierarchical code of a stay; procedures may come in any order and repeat. One that would be
/// too long, or has a code with a mark in it that combinations use, is left at its category, so
/// that two different combinations never have one code. `None` without a diagnosis.
#[must_use]
pub fn combination<'a>(
    year: u16,
    class: TreatmentClass,
    principal_diagnosis: &str,
    procedures: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let (category, diagnosis) = diagnosis(principal_diagnosis)?;
    let mut code = format!("{year:04}{SEPARATOR}{}{SEPARATOR}{category}", class.as_str());
    let procedures: BTreeSet<&str> = procedures.into_iter().map(str::trim).collect();
    let marked = |code: &&str| code.is_empty() || code.contains([SEPARATOR, PROCEDURES, AND]);
    if procedures.iter().any(marked) {
        return Some(code);
    }
    let mut detail = format!("{SEPARATOR}{diagnosis}");
    for (place, procedure) in procedures.into_iter().enumerate() {
        detail.push(if place == 0 { PROCEDURES } else { AND });
        detail.push_str(procedure);
    }
    if code.len() + detail.len() <= MAX_BYTES {
        code.push_str(&detail);
    }
    Some(code)
}

impl<'a> Combination<'a> {
    /// Takes a combination apart: with its year, or without one as in a catalogue.
    #[must_use]
    pub fn of(code: &'a str) -> Self {
        let (first, rest) = code.split_once(SEPARATOR).unwrap_or((code, ""));
        let is_year = first.len() == 4 && first.bytes().all(|byte| byte.is_ascii_digit());
        match first.parse().ok().filter(|_| is_year) {
            Some(year) => Self { year: Some(year), path: rest },
            None => Self { year: None, path: code },
        }
    }
}

/// The code itself and then its ancestors, longest first.
pub fn ancestry(code: &str) -> impl Iterator<Item = &str> {
    let mut next = Some(code);
    std::iter::from_fn(move || {
        let current = next?;
        next = current.rsplit_once(SEPARATOR).map(|(ancestor, _)| ancestor);
        Some(current)
    })
}

/// The `dip_code` of a path without its year: `S-K35.8:47.01` for a combination, `S-K35*` for the
/// mixed group of a category, `S-*` for that of a class, `*` for that of everything. `None` for what
/// is no path.
#[must_use]
pub fn dip_code(path: &str) -> Option<String> {
    if path.is_empty() {
        return Some("*".to_owned());
    }
    let mut levels = path.split(SEPARATOR);
    let letter = TreatmentClass::of_name(levels.next()?)?.letter();
    match (levels.next(), levels.next()) {
        (None, _) => Some(format!("{letter}-*")),
        (Some(category), None) => Some(format!("{letter}-{category}*")),
        (Some(_), Some(detail)) => Some(format!("{letter}-{detail}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn icd9(code: &str) -> Procedure<'_> {
        Procedure { code, system: Some("ICD-9-CM-3"), level: None }
    }

    #[test]
    fn the_most_invasive_procedure_decides() {
        use TreatmentClass::{Conservative, Diagnostic, Surgery, Therapeutic};
        assert_eq!(class_of([]), Conservative);
        for (code, class) in [
            ("00.66", Surgery),
            ("47.01", Surgery),
            ("86.99", Surgery),
            ("87.41", Diagnostic),
            ("92.19", Diagnostic),
            ("93.90", Therapeutic),
            ("99.25", Therapeutic),
        ] {
            assert_eq!(icd9(code).class(), class, "{code}");
        }
        assert_eq!(class_of([icd9("88.72"), icd9("99.04")]), Therapeutic);
        assert_eq!(class_of([icd9("99.04"), icd9("47.01"), icd9("88.72")]), Surgery);
        let other = Procedure { code: "MST017", system: Some("CCSR"), level: None };
        assert_eq!(other.class(), Therapeutic);
        assert_eq!(Procedure { level: Some("3"), ..other }.class(), Surgery);
        assert_eq!(Procedure { level: Some(" "), ..other }.class(), Therapeutic);
        assert_eq!(Procedure { code: "47", ..icd9("") }.class(), Surgery);
        assert_eq!(Procedure { code: "é7", ..icd9("") }.class(), Therapeutic);
        assert!(
            TreatmentClass::ALL.iter().all(|c| TreatmentClass::of_name(c.as_str()) == Some(*c))
        );
    }

    #[test]
    fn a_diagnosis_is_cut_after_four_characters() {
        for (code, category, whole) in [
            ("K35.8", "K35", "K35.8"),
            ("K35.800x001", "K35", "K35.8"),
            ("k358", "K35", "K35.8"),
            ("I10", "I10", "I10"),
            ("I10.x00", "I10", "I10"),
            ("C34.1+M80", "C34", "C34.1"),
        ] {
            assert_eq!(diagnosis(code), Some((category.to_owned(), whole.to_owned())), "{code}");
        }
        assert_eq!((diagnosis("K3"), diagnosis("")), (None, None));
    }

    #[test]
    fn a_combination_does_not_depend_on_the_order_of_procedures() {
        let class = TreatmentClass::Surgery;
        let code = combination(2024, class, "K35.800", ["47.09", "47.01", " 47.09"]);
        assert_eq!(code.as_deref(), Some("2024|surgery|K35|K35.8:47.01+47.09"));
        let none = combination(2022, TreatmentClass::Conservative, "I10", []);
        assert_eq!(none.as_deref(), Some("2022|conservative|I10|I10"));
        assert_eq!(combination(2024, class, "", ["47.01"]), None);
        for bad in ["a|b", "a+b", "a:b", ""] {
            let left = combination(2024, class, "K35.8", [bad, "47.01"]);
            assert_eq!(left.as_deref(), Some("2024|surgery|K35"), "{bad}");
        }
        let many: Vec<String> = (0..40).map(|n| format!("{n:02}.01")).collect();
        let code = combination(2024, class, "K35.8", many.iter().map(String::as_str));
        assert_eq!(code.as_deref(), Some("2024|surgery|K35"));
        let some = combination(2024, class, "K35.8", many[..17].iter().map(String::as_str));
        assert!(some.is_some_and(|code| code.len() > 100 && code.len() <= MAX_BYTES));
    }

    #[test]
    fn ancestors_lead_up_to_the_year() {
        let code = "2024|surgery|K35|K35.8:47.01";
        let all: Vec<_> = ancestry(code).collect();
        assert_eq!(all, [code, "2024|surgery|K35", "2024|surgery", "2024"]);
        assert_eq!(all.len(), usize::from(LEVELS));
        assert_eq!(Combination::of(code), Combination { year: Some(2024), path: &code[5..] });
        assert_eq!(Combination::of("2024"), Combination { year: Some(2024), path: "" });
        let path = "surgery|K35";
        assert_eq!(Combination::of(path), Combination { year: None, path });
    }

    #[test]
    fn a_dip_code_is_short_and_says_what_it_is() {
        for (path, code) in [
            ("surgery|K35|K35.8:47.01", "S-K35.8:47.01"),
            ("surgery|K35", "S-K35*"),
            ("conservative|I10", "C-I10*"),
            ("conservative|I10|I10", "C-I10"),
            ("surgery", "S-*"),
            ("", "*"),
        ] {
            assert_eq!(dip_code(path).as_deref(), Some(code));
        }
        assert_eq!(dip_code("K35"), None);
    }
}
