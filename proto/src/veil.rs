//! Where the cells of a round stand, on the wire.

use std::collections::BTreeMap;

use model::Refusal;
use privacy::sketch::{Extent, Span};
use privacy::{Veil, VeilKey, Veiled};

use crate::round::{bytes32, malformed};
use crate::v1;

/// Most columns of which anything is said; the data model has fewer.
const MAX_COLUMNS: usize = 256;
/// Longest name of one.
const MAX_NAME_BYTES: usize = 256;

/// Extents as they travel.
#[must_use]
pub fn encode_extents(extents: &BTreeMap<String, Extent>) -> Vec<v1::Extent> {
    let extent = |(column, extent): (&String, &Extent)| {
        let Extent { least, most, nulls } = *extent;
        v1::Extent { column: column.clone(), least, most, nulls }
    };
    extents.iter().map(extent).collect()
}

/// Parses extents.
///
/// # Errors
/// A [`Refusal`] with code `request`.
pub fn decode_extents(wire: Vec<v1::Extent>) -> Result<BTreeMap<String, Extent>, Refusal> {
    let count = wire.len();
    let extent = |one: v1::Extent| {
        let v1::Extent { column, least, most, nulls } = one;
        let is_one = least <= most && column.len() <= MAX_NAME_BYTES;
        is_one.then_some((column, Extent { least, most, nulls }))
    };
    let extents: Option<BTreeMap<_, _>> = wire.into_iter().map(extent).collect();
    let whole = extents.filter(|extents| extents.len() == count && count <= MAX_COLUMNS);
    whole.ok_or_else(|| malformed("extents"))
}

/// Constants as they travel.
#[must_use]
pub fn encode_constants(constants: &BTreeMap<String, String>) -> Vec<v1::Constant> {
    let constant = |(column, label): (&String, &String)| v1::Constant {
        column: column.clone(),
        label: label.clone(),
    };
    constants.iter().map(constant).collect()
}

/// Parses constants.
///
/// # Errors
/// A [`Refusal`] with code `request`.
pub fn decode_constants(wire: Vec<v1::Constant>) -> Result<BTreeMap<String, String>, Refusal> {
    let count = wire.len();
    let is_short = |one: &v1::Constant| one.column.len().max(one.label.len()) <= MAX_NAME_BYTES;
    let all_short = wire.iter().all(is_short);
    let constants: BTreeMap<_, _> = wire.into_iter().map(|one| (one.column, one.label)).collect();
    let is_one = all_short && constants.len() == count && count <= MAX_COLUMNS;
    if is_one { Ok(constants) } else { Err(malformed("constants")) }
}

pub(crate) fn encode_veil(veil: &Veil) -> v1::Veil {
    v1::Veil {
        key: veil.key.as_bytes().to_vec(),
        extents: encode_extents(&veil.extents),
        constants: encode_constants(&veil.constants),
    }
}

pub(crate) fn decode_veil(wire: v1::Veil) -> Result<Veil, Refusal> {
    let key = VeilKey::from_slice(&wire.key).ok_or_else(|| malformed("veil"))?;
    let constants = decode_constants(wire.constants)?;
    Ok(Veil { key, extents: decode_extents(wire.extents)?, constants })
}

fn encode_tag(tag: Option<u128>) -> Vec<u8> {
    tag.map(|tag| tag.to_le_bytes().to_vec()).unwrap_or_default()
}

fn decode_tag(bytes: &[u8], subject: &str) -> Result<Option<u128>, Refusal> {
    match bytes {
        [] => Ok(None),
        tag => Ok(Some(u128::from_le_bytes(tag.try_into().map_err(|_| malformed(subject))?))),
    }
}

/// All but the tags, which follow the sums as cells.
#[must_use]
pub fn encode_veiled(veiled: &Veiled) -> v1::Veiled {
    let span = |(column, (asked, there)): (&String, &(Span, Span))| v1::VeiledSpan {
        column: column.clone(),
        asked_from: asked.from,
        asked_until: asked.until,
        there_from: there.from,
        there_until: there.until,
    };
    v1::Veiled {
        key: veiled.key.to_vec(),
        whole: encode_tag(veiled.whole),
        cuts: veiled.cuts.iter().map(|cut| cut.map(u128::to_le_bytes).concat()).collect(),
        along: encode_tag(veiled.along),
        spans: veiled.spans.iter().map(span).collect(),
    }
}

/// Parses what [`encode_veiled`] made; its tags are still to come.
///
/// # Errors
/// A [`Refusal`] with code `request`.
pub fn decode_veiled(wire: v1::Veiled) -> Result<Veiled, Refusal> {
    let count = wire.spans.len();
    let span = |one: v1::VeiledSpan| {
        let asked = Span { from: one.asked_from, until: one.asked_until };
        let there = Span { from: one.there_from, until: one.there_until };
        // The record ends a column's name with a zero.
        let is_name = one.column.len() <= MAX_NAME_BYTES && !one.column.contains('\0');
        is_name.then_some((one.column, (asked, there)))
    };
    let spans: Option<BTreeMap<_, _>> = wire.spans.into_iter().map(span).collect();
    let spans = spans.filter(|spans| spans.len() == count && count <= MAX_COLUMNS);
    let cut = |bytes: &Vec<u8>| {
        let ([of, along], []) = bytes.as_chunks::<16>() else { return None };
        Some([of, along].map(|tag| u128::from_le_bytes(*tag)))
    };
    let cuts: Option<Vec<_>> = wire.cuts.iter().map(cut).collect();
    let cuts = cuts.filter(|cuts| cuts.len() <= MAX_COLUMNS);
    Ok(Veiled {
        key: bytes32(&wire.key, "veiled.key")?,
        whole: decode_tag(&wire.whole, "veiled.whole")?,
        cuts: cuts.ok_or_else(|| malformed("veiled.cuts"))?,
        along: decode_tag(&wire.along, "veiled.along")?,
        spans: spans.ok_or_else(|| malformed("veiled.spans"))?,
        tags: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn veiled() -> Veiled {
        let (asked, there) = (Span { from: i64::MIN, until: 7 }, Span { from: -3, until: 7 });
        let spans = [("ab".to_owned(), (asked, there)), ("cd".to_owned(), (Span::ALL, asked))];
        Veiled {
            key: [1; 32],
            whole: Some(u128::MAX - 5),
            cuts: vec![[1, u128::MAX], [7, 8]],
            along: Some(9),
            spans: spans.into(),
            tags: Vec::new(),
        }
    }

    #[test]
    fn what_is_veiled_comes_back_and_damage_is_refused() {
        for whole in [None, Some(1)] {
            let one = Veiled { whole, along: whole, ..veiled() };
            assert_eq!(decode_veiled(encode_veiled(&one)), Ok(one));
        }
        for damage in [
            (|v: &mut v1::Veiled| v.key.push(0)) as fn(&mut v1::Veiled),
            |v| v.whole.truncate(15),
            |v| v.along.push(0),
            |v| v.cuts[1].truncate(31),
            |v| v.spans.push(v.spans[0].clone()),
            |v| v.spans[0].column = "a\0b".into(),
            |v| v.spans[0].column = "a".repeat(MAX_NAME_BYTES + 1),
        ] {
            let mut wire = encode_veiled(&veiled());
            damage(&mut wire);
            assert!(decode_veiled(wire).is_err());
        }
    }

    #[test]
    fn constants_come_back_and_damage_is_refused() {
        let constants = BTreeMap::from([("stay.drg_scheme".to_owned(), "G@1".to_owned())]);
        let wire = encode_constants(&constants);
        assert_eq!(decode_constants(wire.clone()), Ok(constants));
        assert!(decode_constants([wire.clone(), wire.clone()].concat()).is_err());
        let long = v1::Constant { label: "a".repeat(MAX_NAME_BYTES + 1), ..wire[0].clone() };
        assert!(decode_constants(vec![long]).is_err());
    }

    #[test]
    fn extents_come_back_and_damage_is_refused() {
        let extent = Extent { least: -5, most: i64::MAX, nulls: true };
        let extents = BTreeMap::from([("stay.admitted_at".to_owned(), extent)]);
        let wire = encode_extents(&extents);
        assert_eq!(decode_extents(wire.clone()), Ok(extents));
        assert!(decode_extents([wire.clone(), wire.clone()].concat()).is_err());
        let backwards = v1::Extent { most: -6, ..wire[0].clone() };
        assert!(decode_extents(vec![backwards]).is_err());
        let veil = v1::Veil { key: vec![1; 31], extents: wire, constants: Vec::new() };
        assert!(decode_veil(veil).is_err());
    }
}
