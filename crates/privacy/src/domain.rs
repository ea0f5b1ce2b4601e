//! What a pooled dimension can be: public codes, so that hospitals' vectors align and none reveals
//! which codes it holds.
//!
//! A code list has a place for NULL, one for each code, and, unless it is complete by nature, one
//! for every other code (`OTHER`). A bucket domain serves discovery (DESIGN, section 5): codes are
//! hashed into a public number of buckets under a salt of the round, so that codes nobody has
//! listed yet can be counted without being named.
//!
//! Codes may be hierarchical: what stands before each [`SEPARATOR`] is an *ancestor*. A list of
//! such codes puts a value that is not in it at its longest listed ancestor, so what is too rare for
//! a place of its own is added up, in the same round, under the next that is not.

use std::borrow::Cow;
use std::collections::HashMap;

use ring::digest::{Context, SHA256};

/// The label of everything outside a code list.
pub const OTHER: &str = "OTHER";
/// Between the levels of a hierarchical code.
pub const SEPARATOR: char = '|';
/// Most cells of one pooled request: the product of its domains.
pub const MAX_CELLS: usize = 1 << 22;
/// Most codes of one dimension.
pub const MAX_CODES: usize = 1 << 20;
/// Longest code, in bytes.
pub const MAX_CODE_BYTES: usize = 128;
/// log2 of the most buckets of one discovery.
pub const MAX_BUCKET_BITS: u8 = 20;

/// The places of one dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// Listed codes, strictly ascending, and whether there is a place for all others.
    Codes {
        /// The codes; for whole numbers, times and flags their stored form as text.
        codes: Vec<String>,
        /// What becomes of values outside the list.
        outside: Outside,
    },
    /// Hashed codes, for discovery.
    Buckets {
        /// log2 of the number of buckets.
        bits: u8,
        /// Levels of a hierarchical code that are hashed, see [`prefix`]; 0 hashes the whole code.
        level: u8,
        /// Salt of the round: its sid.
        salt: [u8; 32],
    },
    /// So many numbered places: the sums of a step of fitting a model ([`crate::step`]).
    Numbered(u32),
}

/// What becomes of values outside a code list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// There are none: the list is complete by nature.
    None,
    /// They are added up as [`OTHER`].
    Named,
    /// They are added up in a place that has no value, because the dimension is no text: counted
    /// as withheld, never shown.
    Unnamed,
    /// They are added up at their longest listed ancestor, and without one as [`OTHER`].
    Ancestor,
    /// The same, but without a listed ancestor they have no place.
    AncestorOnly,
}

/// A domain that is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDomain {
    /// Codes repeat or are out of order.
    #[error("a code list is strictly ascending")]
    Order,
    /// Too many codes, or one is too long, or too many buckets.
    #[error("a code list has at most {MAX_CODES} codes of at most {MAX_CODE_BYTES} bytes")]
    TooLarge,
    /// An open list names the label of everything outside it.
    #[error("a code list does not name {OTHER}, which stands for all codes outside it")]
    Reserved,
}

/// Finds places in a domain; made once per request.
#[derive(Debug, Clone)]
pub struct Places {
    domain: Domain,
    index: HashMap<Box<str>, usize>,
}

impl Domain {
    /// A complete list: nothing else can occur.
    ///
    /// # Errors
    /// [`InvalidDomain::TooLarge`].
    pub fn closed(codes: Vec<String>) -> Result<Self, InvalidDomain> {
        Self::listed(codes, Outside::None)
    }

    /// A list beside which other values may occur; `text` says that the dimension is a text, so
    /// that these can be named.
    ///
    /// # Errors
    /// [`InvalidDomain::TooLarge`].
    pub fn open(codes: Vec<String>, text: bool) -> Result<Self, InvalidDomain> {
        Self::listed(codes, if text { Outside::Named } else { Outside::Unnamed })
    }

    /// A list of hierarchical codes; `rest` says whether values without a listed ancestor are added
    /// up as [`OTHER`] or left out.
    ///
    /// # Errors
    /// [`InvalidDomain::TooLarge`].
    pub fn hierarchical(codes: Vec<String>, rest: bool) -> Result<Self, InvalidDomain> {
        Self::listed(codes, if rest { Outside::Ancestor } else { Outside::AncestorOnly })
    }

    fn listed(mut codes: Vec<String>, outside: Outside) -> Result<Self, InvalidDomain> {
        codes.retain(|code| code != OTHER || !outside.has_place());
        codes.sort_unstable();
        codes.dedup();
        let domain = Self::Codes { codes, outside };
        domain.check()?;
        Ok(domain)
    }

    /// Checks what came over the wire.
    ///
    /// # Errors
    /// [`InvalidDomain`].
    pub fn check(&self) -> Result<(), InvalidDomain> {
        match self {
            Self::Codes { codes, outside } => {
                let long = codes.iter().any(|code| code.len() > MAX_CODE_BYTES);
                if codes.len() > MAX_CODES || long {
                    return Err(InvalidDomain::TooLarge);
                }
                if !codes.windows(2).all(|pair| pair[0] < pair[1]) {
                    return Err(InvalidDomain::Order);
                }
                // Two places of one label would be one group at the hospital.
                if outside.has_place() && codes.iter().any(|code| code == OTHER) {
                    return Err(InvalidDomain::Reserved);
                }
                Ok(())
            }
            Self::Buckets { bits, .. } if *bits == 0 || *bits > MAX_BUCKET_BITS => {
                Err(InvalidDomain::TooLarge)
            }
            Self::Numbered(places) if *places == 0 || *places as usize > MAX_CELLS => {
                Err(InvalidDomain::TooLarge)
            }
            Self::Buckets { .. } | Self::Numbered(_) => Ok(()),
        }
    }

    /// Number of places.
    #[must_use]
    pub const fn size(&self) -> usize {
        match self {
            Self::Codes { codes, outside } if outside.has_place() => 2 + codes.len(),
            Self::Codes { codes, .. } => 1 + codes.len(),
            Self::Buckets { bits, .. } => 1 << *bits,
            Self::Numbered(places) => *places as usize,
        }
    }

    /// The code at a place; `None` is NULL, and every place of a bucket domain has its number.
    #[must_use]
    pub fn code(&self, place: usize) -> Option<String> {
        match self {
            Self::Codes { codes, .. } => {
                let index = place.checked_sub(1)?;
                Some(codes.get(index).map_or_else(|| OTHER.to_owned(), Clone::clone))
            }
            Self::Buckets { .. } | Self::Numbered(_) => Some(place.to_string()),
        }
    }

    /// Bytes that stand for this domain in a request's hash.
    pub(crate) fn encode(&self, out: &mut crate::canonical::Writer) {
        match self {
            Self::Codes { codes, outside } => {
                out.text(&format!("{outside:?}"));
                out.number(codes.len() as u64);
                codes.iter().for_each(|code| out.text(code));
            }
            // Not the salt: it is the sid, which depends on this hash ([`crate::admit_round`]).
            Self::Buckets { bits, level, .. } => {
                out.text("Buckets");
                out.number(u64::from(*bits));
                out.number(u64::from(*level));
            }
            Self::Numbered(places) => {
                out.text("Numbered");
                out.number(u64::from(*places));
            }
        }
    }

    /// Whether a place has a value that can stand in an answer.
    #[must_use]
    pub const fn is_named(&self, place: usize) -> bool {
        match self {
            Self::Codes { codes, outside: Outside::Unnamed } => place <= codes.len(),
            Self::Codes { .. } | Self::Buckets { .. } | Self::Numbered(_) => true,
        }
    }

    /// Finds places in this domain.
    #[must_use]
    pub fn places(&self) -> Places {
        let index = match self {
            Self::Codes { codes, .. } => {
                codes.iter().enumerate().map(|(i, code)| (code.as_str().into(), i + 1)).collect()
            }
            Self::Buckets { .. } | Self::Numbered(_) => HashMap::new(),
        };
        Places { domain: self.clone(), index }
    }
}

impl Outside {
    /// Whether values outside the list have a place of their own.
    #[must_use]
    pub const fn has_place(self) -> bool {
        matches!(self, Self::Named | Self::Unnamed | Self::Ancestor)
    }

    const fn is_hierarchical(self) -> bool {
        matches!(self, Self::Ancestor | Self::AncestorOnly)
    }
}

/// The first `level` levels of a hierarchical code, the whole code for 0; `None` when it has fewer.
#[must_use]
pub fn prefix(code: &str, level: u8) -> Option<&str> {
    let Some(last) = usize::from(level).checked_sub(1) else { return Some(code) };
    let mut ends = code.match_indices(SEPARATOR).map(|(end, _)| end).chain([code.len()]);
    ends.nth(last).and_then(|end| code.get(..end))
}

/// The ancestors of a hierarchical code, longest first.
pub fn ancestors(code: &str) -> impl Iterator<Item = &str> {
    code.rmatch_indices(SEPARATOR).filter_map(|(end, _)| code.get(..end))
}

/// The bucket of `code` under `salt`: the leading `bits` bits of SHA-256.
#[must_use]
pub fn bucket(salt: &[u8; 32], code: Option<&str>, bits: u8) -> usize {
    let mut context = Context::new(&SHA256);
    context.update(b"consilium/bucket/v1\0");
    context.update(salt);
    // NULL and the empty text are different values.
    context.update(&[u8::from(code.is_some())]);
    context.update(code.unwrap_or_default().as_bytes());
    let digest = context.finish();
    let leading =
        digest.as_ref().iter().take(4).fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
    leading >> (32 - u32::from(bits))
}

impl Places {
    /// The place of a code; `None` when the domain has none for it.
    #[must_use]
    pub fn of(&self, code: Option<&str>) -> Option<usize> {
        match &self.domain {
            Domain::Codes { codes, outside } => match code {
                None => Some(0),
                Some(code) => {
                    let beyond = outside.has_place().then_some(codes.len() + 1);
                    let listed = self.listed(code, *outside);
                    listed.and_then(|code| self.index.get(code).copied()).or(beyond)
                }
            },
            Domain::Buckets { bits, level, salt } => match code {
                None => Some(bucket(salt, None, *bits)),
                Some(code) => Some(bucket(salt, Some(prefix(code, *level)?), *bits)),
            },
            Domain::Numbered(places) => {
                code?.parse().ok().filter(|place| *place < *places as usize)
            }
        }
    }

    /// The listed code at whose place `code` stands.
    fn listed<'a>(&self, code: &'a str, outside: Outside) -> Option<&'a str> {
        let known = |code: &&str| self.index.contains_key(*code);
        let ancestors = || ancestors(code).find(known).filter(|_| outside.is_hierarchical());
        Some(code).filter(known).or_else(ancestors)
    }

    /// The label under which rows with `code` are grouped: the listed code at whose place it
    /// stands, [`OTHER`], or the bucket's number; `None` when the domain has no place for it. Rows
    /// of one place have one label, so that whoever has two codes of a place is counted there once.
    #[must_use]
    pub fn label<'a>(&self, code: &'a str) -> Option<Cow<'a, str>> {
        match &self.domain {
            Domain::Codes { outside, .. } => {
                let beyond = outside.has_place().then_some(OTHER);
                self.listed(code, *outside).or(beyond).map(Cow::Borrowed)
            }
            Domain::Buckets { bits, level, salt } => {
                let code = prefix(code, *level)?;
                Some(Cow::Owned(bucket(salt, Some(code), *bits).to_string()))
            }
            Domain::Numbered(_) => self.of(Some(code)).map(|place| Cow::Owned(place.to_string())),
        }
    }

    /// The place of a label that [`Places::label`] gave; `None` stands for NULL, which has a place
    /// in a code list and, not being a code that could be discovered, none among buckets.
    #[must_use]
    pub fn of_label(&self, label: Option<&str>) -> Option<usize> {
        match &self.domain {
            Domain::Codes { .. } | Domain::Numbered(_) => self.of(label),
            Domain::Buckets { .. } => {
                label?.parse().ok().filter(|bucket| *bucket < self.domain.size())
            }
        }
    }

    /// Whether NULL has a place.
    #[must_use]
    pub const fn has_null(&self) -> bool {
        matches!(self.domain, Domain::Codes { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_place_and_null_another() {
        let domain = Domain::open(vec!["b".into(), "a".into(), "a".into()], true).unwrap();
        let places = domain.places();
        assert_eq!(domain.size(), 4);
        assert_eq!(places.of(None), Some(0));
        assert_eq!([places.of(Some("a")), places.of(Some("b"))], [Some(1), Some(2)]);
        assert_eq!(places.of(Some("zz")), Some(3));
        assert_eq!(domain.code(3).as_deref(), Some(OTHER));
        assert_eq!((domain.code(0), domain.code(1).as_deref()), (None, Some("a")));
        let closed = Domain::closed(vec!["false".into(), "true".into()]).unwrap();
        assert_eq!(closed.places().of(Some("maybe")), None);
        let months = Domain::open(vec!["0".into()], false).unwrap();
        assert_eq!(months.places().of(Some("9")), Some(2));
        assert!(months.is_named(1) && !months.is_named(2) && domain.is_named(3));
    }

    #[test]
    fn a_list_out_of_order_does_not_align() {
        let wrong = Domain::Codes { codes: vec!["b".into(), "a".into()], outside: Outside::None };
        assert_eq!(wrong.check(), Err(InvalidDomain::Order));
        let twice = Domain::Codes { codes: vec!["a".into(), "a".into()], outside: Outside::None };
        assert_eq!(twice.check(), Err(InvalidDomain::Order));
        assert!(Domain::Buckets { bits: 21, level: 0, salt: [0; 32] }.check().is_err());
    }

    #[test]
    fn the_label_of_other_codes_is_nobodys_code() {
        let named = |outside| Domain::Codes { codes: vec![OTHER.into()], outside }.check();
        assert_eq!(named(Outside::Named), Err(InvalidDomain::Reserved));
        assert_eq!(named(Outside::Unnamed), Err(InvalidDomain::Reserved));
        assert_eq!(named(Outside::None), Ok(()), "a complete list may have it as a code");
        let open = Domain::open(vec![OTHER.into(), "a".into()], true).unwrap();
        assert_eq!(open.size(), 3, "NULL, a and the others");
    }

    #[test]
    fn a_label_leads_to_the_place_of_its_code() {
        let open = |text| Domain::open(vec!["7".into(), "b".into()], text).unwrap();
        let closed = Domain::closed(vec!["7".into(), OTHER.into()]).unwrap();
        let buckets = Domain::Buckets { bits: 6, level: 0, salt: [3; 32] };
        for domain in [open(true), open(false), closed, buckets] {
            let places = domain.places();
            for code in ["7", "b", "", OTHER, "rare", "07"] {
                let place = places.of(Some(code));
                let label = places.label(code);
                assert_eq!(label.is_some(), place.is_some(), "{domain:?} {code}");
                if let Some(label) = label {
                    assert_eq!(places.of_label(Some(&label)), place, "{domain:?} {code}");
                    assert_eq!(domain.code(place.unwrap()).as_deref(), Some(label.as_ref()));
                }
            }
            assert_eq!(places.of_label(None).is_some(), places.has_null());
        }
        let places = Domain::Buckets { bits: 6, level: 0, salt: [3; 32] }.places();
        assert_eq!(places.of_label(Some("63")), Some(63));
        assert_eq!([places.of_label(Some("64")), places.of_label(Some("A01"))], [None, None]);
    }

    #[test]
    fn a_rare_code_stands_at_its_longest_listed_ancestor() {
        let codes = || ["a", "a|b", "a|b|c", "x|y"].map(str::to_owned).to_vec();
        for rest in [true, false] {
            let domain = Domain::hierarchical(codes(), rest).unwrap();
            let places = domain.places();
            for (code, label) in [
                ("a|b|c", Some("a|b|c")),
                ("a|b|c|d|e", Some("a|b|c")),
                ("a|b|d", Some("a|b")),
                ("a|bb", Some("a")),
                ("a", Some("a")),
                ("x|y|z", Some("x|y")),
                ("x|z", rest.then_some(OTHER)),
                ("aa|b", rest.then_some(OTHER)),
                ("", rest.then_some(OTHER)),
            ] {
                assert_eq!(places.label(code).as_deref(), label, "{code}");
                let place = places.of(Some(code));
                assert_eq!(place.and_then(|place| domain.code(place)).as_deref(), label);
                assert_eq!(place, label.and_then(|label| places.of_label(Some(label))));
            }
            assert_eq!(domain.size(), if rest { 6 } else { 5 });
            assert_eq!(places.of(None), Some(0));
        }
        let plain = Domain::open(codes(), true).unwrap().places();
        assert_eq!(plain.label("a|b|d").as_deref(), Some(OTHER), "only where it is asked for");
    }

    #[test]
    fn buckets_of_a_level_hash_its_prefix() {
        assert_eq!([prefix("a|b|c", 0), prefix("a|b|c", 3)], [Some("a|b|c"); 2]);
        assert_eq!([prefix("a|b|c", 1), prefix("a|b|c", 2)], [Some("a"), Some("a|b")]);
        assert_eq!([prefix("a", 1), prefix("a", 2), prefix("", 1)], [Some("a"), None, Some("")]);
        assert_eq!(ancestors("a|b|c").collect::<Vec<_>>(), ["a|b", "a"]);
        let places = Domain::Buckets { bits: 8, level: 2, salt: [5; 32] }.places();
        assert_eq!(places.label("a|b|c"), places.label("a|b|d"));
        assert_eq!(places.of(Some("a|b|c")), Some(bucket(&[5; 32], Some("a|b"), 8)));
        assert_eq!((places.label("a"), places.of(Some("a"))), (None, None));
    }

    #[test]
    fn buckets_depend_on_the_salt_and_fill_their_range() {
        let place = |salt: u8, n: usize| bucket(&[salt; 32], Some(&n.to_string()), 4);
        let first: Vec<_> = (0..200).map(|n| place(1, n)).collect();
        let second: Vec<_> = (0..200).map(|n| place(2, n)).collect();
        assert_ne!(first, second);
        assert!((0..16).all(|bucket| first.contains(&bucket)));
        assert!(first.iter().all(|bucket| *bucket < 16));
        assert_ne!(bucket(&[1; 32], None, 20), bucket(&[1; 32], Some(""), 20));
    }
}
