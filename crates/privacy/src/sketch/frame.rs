//! Where a population stands among others: which tables and conditions, which labels, which stretches of ordered
//! columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::canonical::Writer;

/// Values from the first on and before the second, in the column's unit; NULL from [`Span::NULLS`] on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The least value in it.
    pub from: i64,
    /// The least value behind it.
    pub until: i64,
}

impl Span {
    /// Where rows without a value stand.
    pub const NULLS: i64 = i64::MAX - 1;
    /// Every row.
    pub const ALL: Self = Self { from: i64::MIN, until: i64::MAX };
    /// Every row with a value.
    pub const VALUES: Self = Self { from: i64::MIN, until: Self::NULLS };

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.min(other.until) }
    }

    /// The part where a column with these values has any: the ends of what is told are those of the data.
    fn within(self, extent: Extent) -> Self {
        let Extent { least, most, nulls } = extent;
        let behind = most.saturating_add(1);
        let end = |end: i64| match end {
            i64::MAX if nulls => i64::MAX,
            Self::NULLS.. => behind,
            end => end.clamp(least, behind),
        };
        Self { from: end(self.from), until: end(self.until) }
    }
}

/// The values that a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The least one, or less.
    pub least: i64,
    /// The largest one, or more.
    pub most: i64,
    /// Whether some row has none.
    pub nulls: bool,
}

/// Which rows a request is about: a set that its text describes, and of it a stretch of each ordered column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// SHA-256 of tables and conditions, apart from `pins` and `spans`.
    pub base: [u8; 32],
    /// Columns that must have one value.
    pub pins: BTreeMap<String, String>,
    /// For each dimension of the groups, its column; `None` when it is the same for all of a hospital's rows.
    pub dimensions: Vec<Option<String>>,
    /// Conditions on attributes of the hospital: of one hospital's rows all meet them or none, of a region's not.
    pub locals: Vec<String>,
    /// For each dimension that is an attribute of the hospital, its column.
    pub local_dimensions: Vec<Option<String>>,
    /// Whether the sketch of the whole counts each stay once.
    pub has_whole: bool,
    /// Stretches that conditions cut out.
    pub spans: BTreeMap<String, Span>,
    /// The values that columns have in this snapshot.
    pub extents: BTreeMap<String, Extent>,
    /// Columns that have one value in all rows of this snapshot: conditions on it are none.
    pub constants: BTreeMap<String, String>,
    /// For each measure, by which conditions it tells rows apart; empty where there are none.
    pub told_apart: Vec<String>,
}

/// Where a population stands among others: which set, and which stretch of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub(super) set: [u8; 32],
    /// The same for all groups of an answer.
    pub(super) spans: Arc<Spans>,
    /// The sets that it is a group of.
    pub(super) cuts: Vec<Cut>,
}

/// A set, and a column by which it is cut into groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Cut {
    /// The set.
    pub(crate) of: [u8; 32],
    /// What all groups of the set by that column have in common, and no others.
    pub(crate) along: [u8; 32],
}

/// For each ordered column, the stretch that was asked for, and the part of it where there are values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Spans(pub(super) BTreeMap<String, (Span, Span)>);

impl Cut {
    fn new(of: [u8; 32], column: &str) -> Self {
        let mut along = Writer::new("consilium/cut/v1");
        along.bytes(&of);
        along.text(column);
        Self { of, along: along.hash() }
    }
}

impl Frame {
    /// The place of the rows as a whole.
    #[must_use]
    pub fn whole(&self) -> Place {
        let pins = self.telling(self.pins.clone());
        let cut = |column: &String| {
            let mut others = pins.clone();
            others.remove(column);
            Cut::new(self.set(&others), column)
        };
        let (set, cuts) = (self.set(&pins), pins.keys().map(cut).collect());
        Place { set, spans: Arc::new(self.standing()), cuts }
    }

    /// Those that some rows do not meet.
    fn telling(&self, mut pins: BTreeMap<String, String>) -> BTreeMap<String, String> {
        pins.retain(|column, label| self.constants.get(column) != Some(label));
        pins
    }

    /// The place of the group with these labels in the `whole`; `None` when it has more or fewer than there are
    /// dimensions.
    #[must_use]
    pub fn group(&self, whole: &Place, key: &[Option<String>]) -> Option<Place> {
        let set = self.set(&self.labelled(key)?);
        if set == whole.set {
            return Some(whole.clone());
        }
        // Groups by several columns are groups of each other's margins too, and too many to be kept as such.
        let mut columns = self.dimensions.iter().flatten();
        let cuts = match (columns.next(), columns.next()) {
            (Some(column), None) => vec![Cut::new(whole.set, column)],
            _ => Vec::new(),
        };
        Some(Place { set, spans: Arc::clone(&whole.spans), cuts })
    }

    fn labelled(&self, key: &[Option<String>]) -> Option<BTreeMap<String, String>> {
        if key.len() != self.dimensions.len() {
            return None;
        }
        let mut pins = self.pins.clone();
        for (column, label) in self.dimensions.iter().zip(key) {
            if let Some(column) = column {
                // Should a code ever be a zero byte, its stretches are taken for those of NULL: more is compared.
                let label = label.clone().unwrap_or_else(|| "\0".to_owned());
                pins.insert(column.clone(), label);
            }
        }
        Some(self.telling(pins))
    }

    /// The place of those of a group whom a measure treats alike: they meet this combination of its conditions.
    #[must_use]
    pub fn part(
        &self,
        whole: &Place,
        key: &[Option<String>],
        (measure, combination): (usize, usize),
    ) -> Option<Place> {
        let conditions = self.told_apart.get(measure).filter(|text| !text.is_empty())?;
        let mut pins = self.labelled(key)?;
        // No column is called so.
        pins.insert(format!("\0{conditions}"), combination.to_string());
        Some(Place { set: self.set(&pins), spans: Arc::clone(&whole.spans), cuts: Vec::new() })
    }

    fn set(&self, pins: &BTreeMap<String, String>) -> [u8; 32] {
        let mut writer = Writer::new("consilium/set/v1");
        writer.bytes(&self.base);
        for (column, label) in pins {
            writer.text(column);
            writer.text(label);
        }
        writer.hash()
    }

    pub(crate) fn standing(&self) -> Spans {
        let columns = self.spans.keys().chain(self.extents.keys());
        let span = |column: &String| {
            let asked = self.spans.get(column).copied().unwrap_or(Span::ALL);
            let there = self.extents.get(column).map_or(asked, |extent| asked.within(*extent));
            (column.clone(), (asked, there))
        };
        Spans(columns.map(span).collect())
    }
}

impl Place {
    /// That set, a group of others, and that stretch of it.
    pub(crate) const fn new(set: [u8; 32], spans: Arc<Spans>, cuts: Vec<Cut>) -> Self {
        Self { set, spans, cuts }
    }

    /// As it is kept.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.set.to_vec();
        for (column, (asked, there)) in &self.spans.0 {
            for end in [asked.from, asked.until, there.from, there.until] {
                bytes.extend(end.to_le_bytes());
            }
            bytes.extend(column.as_bytes());
            bytes.push(0);
        }
        // No column's name is empty.
        for hash in self.cuts.iter().flat_map(|cut| [cut.of, cut.along]) {
            bytes.extend(hash);
            bytes.push(0);
        }
        bytes
    }

    /// From what was kept.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (set, mut rest) = bytes.split_first_chunk::<32>()?;
        let (mut spans, mut hashes) = (Spans::default(), Vec::new());
        while !rest.is_empty() {
            let (ends, after) = rest.split_first_chunk::<32>()?;
            let end = |index: usize| {
                let bytes = ends.get(index * 8..index * 8 + 8)?;
                Some(i64::from_le_bytes(bytes.try_into().ok()?))
            };
            let zero = after.iter().position(|byte| *byte == 0)?;
            let column = std::str::from_utf8(&after[..zero]).ok()?.to_owned();
            let asked = Span { from: end(0)?, until: end(1)? };
            let there = Span { from: end(2)?, until: end(3)? };
            rest = &after[zero + 1..];
            if column.is_empty() {
                hashes.push(*ends);
            } else {
                spans.0.insert(column, (asked, there));
            }
        }
        let (pairs, []) = hashes.as_chunks::<2>() else { return None };
        let cuts = pairs.iter().map(|[of, along]| Cut { of: *of, along: *along }).collect();
        Some(Self { set: *set, spans: Arc::new(spans), cuts })
    }
}

impl Spans {
    pub(crate) const fn new(columns: BTreeMap<String, (Span, Span)>) -> Self {
        Self(columns)
    }

    /// Each column, what was asked of it, and where there are values.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&String, &(Span, Span))> {
        self.0.iter()
    }

    pub(super) fn asked(&self, column: &str) -> Span {
        self.0.get(column).map_or(Span::ALL, |(asked, _)| *asked)
    }

    pub(super) fn there(&self, column: &str) -> Span {
        self.0.get(column).map_or(Span::ALL, |(_, there)| *there)
    }

    /// Whether both are the same apart from `column`.
    pub(super) fn is_beside(&self, other: &Self, column: &str) -> bool {
        let mut columns = self.0.keys().chain(other.0.keys()).filter(|other| *other != column);
        columns.all(|column| {
            self.asked(column) == other.asked(column) || self.there(column) == other.there(column)
        })
    }
}
