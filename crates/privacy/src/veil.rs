//! Where the cells of a masked round stand, told so that the witness can compare and cannot read.
//!
//! That a year and three of its quarters tell the fourth ([`crate::sketch::Frame`]), only a party can notice that
//! knows which cells of four rounds are the same group. The witness sees who is in them and must not know what
//! they are about. So coordinator and nodes share a key, the same for as long as the region keeps it, and the
//! witness is given keyed hashes: of each column, and of each set of rows that conditions and groups pick out.
//! Stretches are told as they are: numbers, of a column whose name is hidden.
//!
//! A set is known by its *tag*. Let `p(c, l)` be a keyed hash of column and label, and `b` one of tables and other
//! conditions; the tag is a keyed hash of `b + Σ p(c, l)` modulo 2^128 over all columns that have one label. So the
//! group `A` of a question by code and the question about code `A` have one tag, a cell costs one hash
//! however many columns it has, and tags do not say which cells are in one row of a table.
//!
//! What the witness learns by it: that cells of two rounds are the same group. What binds the coordinator: the
//! hash of all of it is one of the terms ([`crate::Terms`]), and each node computes it again from what it was asked.
//! The ends of the data are the coordinator's word, as far as each node's own lie within them; another key would
//! make all groups new ones, so the witness keeps to the first.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Refusal, RefusalCode};
use zeroize::Zeroizing;

use crate::blind::RoundKey;
use crate::canonical::{Writer, sha256};
use crate::domain::{Domain, OTHER};
use crate::request::ReleaseRequest;
use crate::shape::Shape;
use crate::sign::hex;
use crate::sketch::{Cut, Extent, Frame, Place, Sketched, Span, Spans};

/// What coordinator and nodes share and the witness must not know, for longer than a round. Erased when dropped.
#[derive(Clone)]
pub struct VeilKey(Zeroizing<[u8; 32]>);

/// How the places of a round are hidden: under which key, and where the region's data begin and end.
#[derive(Debug, Clone)]
pub struct Veil {
    /// The region's key.
    pub key: VeilKey,
    /// For columns of which it is known, the values that they have in the region.
    pub extents: BTreeMap<String, Extent>,
    /// Columns that have one value in all of the region's rows.
    pub constants: BTreeMap<String, String>,
}

/// Where the cells of a round stand, as the witness is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Veiled {
    /// SHA-256 of the key, so that another one is noticed.
    pub key: [u8; 32],
    /// The tag of the rows as a whole; none when they are not what is added up.
    pub whole: Option<u128>,
    /// The tags of sets that the whole is a group of, each with that of the column by which it is one.
    pub cuts: Vec<[u128; 2]>,
    /// When the cells are groups of the whole by one column, the tag of that.
    pub along: Option<u128>,
    /// For each column, by its hidden name, the stretch that was asked for and the part of it where there are values.
    pub spans: BTreeMap<String, (Span, Span)>,
    /// The tag of each cell, in the order of the round; 0 where it is not known. Empty when cells are not compared.
    pub tags: Vec<u128>,
}

impl std::fmt::Debug for VeilKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VeilKey(..)")
    }
}

impl VeilKey {
    /// The key of 32 random bytes.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Reads a key that was kept, or came with an offer.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        <[u8; 32]>::try_from(bytes).ok().map(|bytes| Self(Zeroizing::new(bytes)))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn commitment(&self) -> [u8; 32] {
        let mut writer = Writer::new("consilium/veil-key/v1");
        writer.bytes(self.0.as_ref());
        writer.hash()
    }

    /// The first half of BLAKE3's keyed hash.
    fn hash(&self, writer: &Writer) -> u128 {
        let hash = blake3::keyed_hash(&self.0, writer.as_bytes());
        let mut half = [0u8; 16];
        half.copy_from_slice(&hash.as_bytes()[..16]);
        u128::from_le_bytes(half)
    }

    fn base(&self, base: &[u8; 32]) -> u128 {
        let mut writer = Writer::new("base");
        writer.bytes(base);
        self.hash(&writer)
    }

    fn label(&self, column: &str, label: Option<&str>) -> u128 {
        let mut writer = Writer::new("label");
        writer.text(column);
        writer.number(u64::from(label.is_some()));
        writer.text(label.unwrap_or_default());
        self.hash(&writer)
    }

    fn column(&self, name: &str) -> String {
        let mut writer = Writer::new("column");
        writer.text(name);
        format!("{:032x}", self.hash(&writer))
    }

    /// 0 stands for no tag.
    fn tag(&self, sum: u128) -> u128 {
        let mut writer = Writer::new("set");
        writer.bytes(&sum.to_le_bytes());
        self.hash(&writer).max(1)
    }

    fn cut(&self, sum: u128, column: &str) -> u128 {
        let mut writer = Writer::new("cut");
        writer.bytes(&sum.to_le_bytes());
        writer.text(column);
        self.hash(&writer)
    }
}

impl Veil {
    /// Hides where the cells of a round stand: `frame` is what the request is about, in whatever snapshot. `None`
    /// when the round compares no populations.
    #[must_use]
    pub fn over(
        &self,
        frame: &Frame,
        request: &ReleaseRequest,
        shape: &Shape,
        round_key: &RoundKey,
    ) -> Option<Veiled> {
        let (extents, constants) = (self.extents.clone(), self.constants.clone());
        let mut frame = Frame { extents, constants, ..frame.clone() };
        // Of a region's rows some are of hospitals with an attribute, and some are not.
        let mut base = Writer::new("consilium/base/v1");
        base.bytes(&frame.base);
        frame.locals.iter().for_each(|condition| base.text(condition));
        frame.base = base.hash();
        let locals = frame.dimensions.iter_mut().zip(&frame.local_dimensions);
        locals.for_each(|(column, local)| *column = column.take().or_else(|| local.clone()));
        frame.pins.retain(|column, label| self.constants.get(column) != Some(label));
        let pins = frame.pins.iter().map(|(column, label)| self.key.label(column, Some(label)));
        let whole = pins.fold(self.key.base(&frame.base), u128::wrapping_add);
        let tags = match shape.sketched() {
            Sketched::Nothing => return None,
            Sketched::Whole => Vec::new(),
            Sketched::Cells => self.tags(&frame, whole, request.domains(), round_key),
        };
        let cut = |(column, label): (&String, &String)| {
            let sum = whole.wrapping_sub(self.key.label(column, Some(label)));
            [self.key.tag(sum), self.key.cut(sum, column)]
        };
        let mut columns = frame.dimensions.iter().flatten();
        let along = match (columns.next(), columns.next()) {
            (Some(column), None) => Some(self.key.cut(whole, column)),
            _ => None,
        };
        let hidden = |(column, spans): (&String, &_)| (self.key.column(column), *spans);
        Some(Veiled {
            key: self.key.commitment(),
            whole: frame.has_whole.then(|| self.key.tag(whole)),
            cuts: frame.pins.iter().map(cut).collect(),
            along: along.filter(|_| shape.sketched() == Sketched::Cells),
            spans: frame.standing().columns().map(hidden).collect(),
            tags,
        })
    }

    fn tags(
        &self,
        frame: &Frame,
        whole: u128,
        domains: &[Domain],
        round_key: &RoundKey,
    ) -> Vec<u128> {
        let cells = domains.iter().map(Domain::size).product();
        let mut tags = vec![0; cells];
        if frame.dimensions.len() != domains.len() {
            return tags;
        }
        let each: Vec<_> = (0..domains.len()).map(|at| self.labels(frame, domains, at)).collect();
        let order = round_key.order(cells);
        for (cell, place) in order.into_iter().enumerate() {
            let (mut rest, mut sum) = (cell, whole);
            for labels in each.iter().rev() {
                sum = sum.wrapping_add(labels[rest % labels.len()]);
                rest /= labels.len();
            }
            tags[place as usize] = self.key.tag(sum);
        }
        tags
    }

    /// What each place of a dimension adds to the whole's sum.
    fn labels(&self, frame: &Frame, domains: &[Domain], at: usize) -> Vec<u128> {
        let (domain, column) = (&domains[at], frame.dimensions[at].as_ref());
        // Of two dimensions of one column the last one decides; where they differ there is nobody. A label that
        // all rows have tells nothing.
        let constant = column.and_then(|column| self.constants.get(column));
        let again = |column: &String| frame.dimensions[at + 1..].contains(&Some(column.clone()));
        let column = column.filter(|column| !again(column));
        let pinned = column.and_then(|column| {
            let label = frame.pins.get(column)?;
            Some(self.key.label(column, Some(label)))
        });
        // All codes beside a list are one population wherever the list is the same.
        let mut list = Writer::new("beside");
        domain.encode(&mut list);
        let beside = hex(&list.hash());
        let label = |place: usize| {
            let code = domain.code(place);
            let Some(column) = column else { return 0 };
            if code.is_some() && code.as_ref() == constant {
                return 0;
            }
            let is_one = domain.is_named(place) && code.as_deref() != Some(OTHER);
            let label = if is_one { code.as_deref() } else { Some(beside.as_str()) };
            self.key.label(column, label).wrapping_sub(pinned.unwrap_or_default())
        };
        (0..domain.size()).map(label).collect()
    }

    /// Checks, as a node, that its data lie where the coordinator says that the region's do, as far as `own` knows.
    pub(crate) fn covers(&self, own: &Frame) -> Result<(), Refusal> {
        let has = |(column, label): (&String, &String)| own.constants.get(column) == Some(label);
        let own = &own.extents;
        let lies_within = |(column, stated): (&String, &Extent)| {
            own.get(column).is_none_or(|own| {
                stated.least <= own.least && own.most <= stated.most && (stated.nulls || !own.nulls)
            })
        };
        if self.extents.iter().all(lies_within) && self.constants.iter().all(has) {
            return Ok(());
        }
        Err(Refusal::new(
            RefusalCode::Offer,
            EXTENTS,
            "The hospital has months, or values, that the coordinator does not know of yet.",
            "Ask again: the coordinator has the hospital describe itself first.",
        ))
    }
}

/// What a refusal is about when a hospital's data lie elsewhere than the coordinator says.
pub const EXTENTS: &str = "extents";

impl Veiled {
    /// What stands for it in the terms.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut writer = Writer::new("consilium/veiled/v1");
        writer.bytes(&self.key);
        writer.number(u64::from(self.whole.is_some()));
        writer.bytes(&self.whole.unwrap_or_default().to_le_bytes());
        writer.number(self.cuts.len() as u64);
        self.cuts.iter().flatten().for_each(|tag| writer.bytes(&tag.to_le_bytes()));
        writer.number(u64::from(self.along.is_some()));
        writer.bytes(&self.along.unwrap_or_default().to_le_bytes());
        writer.number(self.spans.len() as u64);
        for (column, (asked, there)) in &self.spans {
            writer.text(column);
            for end in [asked.from, asked.until, there.from, there.until] {
                writer.bytes(&end.to_le_bytes());
            }
        }
        let tags: Vec<u8> = self.tags.iter().flat_map(|tag| tag.to_le_bytes()).collect();
        writer.bytes(&sha256(&tags));
        writer.hash()
    }

    /// A tag is one of its key only.
    fn set(&self, tag: u128) -> [u8; 32] {
        let mut set = self.key;
        set[..16].copy_from_slice(&tag.to_le_bytes());
        set
    }

    fn cut(&self, of: u128, along: u128) -> Cut {
        Cut { of: self.set(of), along: self.set(along) }
    }

    /// The places that it tells.
    #[must_use]
    pub(crate) fn places(&self) -> VeiledPlaces<'_> {
        VeiledPlaces { veiled: self, spans: Arc::new(Spans::new(self.spans.clone())) }
    }
}

/// Places of a round.
#[derive(Debug)]
pub(crate) struct VeiledPlaces<'a> {
    veiled: &'a Veiled,
    spans: Arc<Spans>,
}

impl VeiledPlaces<'_> {
    /// Of the rows as a whole.
    pub(crate) fn whole(&self) -> Option<Place> {
        let set = self.veiled.set(self.veiled.whole?);
        let cuts = self.veiled.cuts.iter().map(|[of, along]| self.veiled.cut(*of, *along));
        Some(Place::new(set, Arc::clone(&self.spans), cuts.collect()))
    }

    /// Of a cell.
    pub(crate) fn cell(&self, index: usize) -> Option<Place> {
        let tag = self.veiled.tags.get(index).filter(|tag| **tag != 0)?;
        if self.veiled.whole == Some(*tag) {
            return self.whole();
        }
        let cut = self.veiled.whole.zip(self.veiled.along);
        let cut = cut.map(|(whole, along)| self.veiled.cut(whole, along));
        let set = self.veiled.set(*tag);
        Some(Place::new(set, Arc::clone(&self.spans), cut.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests;
