//! The other way out of a hospital: from [`Partial`] to [`Concealed`], masked and complete.
//!
//! A masked upload has the same length and looks the same whatever the hospital holds: zeros for
//! what it does not have, and a uniform stream on top. Rules of the hospital's own that apply
//! before: *selectivity* (a filtered set below the floor contributes zeros) and
//! *`pooled.local_minimum`* (smaller local groups contribute zeros). All other rules are about
//! regional sums and are applied by the witness ([`mod@crate::open`]) to the guard columns that are
//! written here.
//!
//! Left to the caller: a seed is random and serves one upload. Two uploads of one round under one
//! seed differ by their data, so a retry sends the same bytes again and computes nothing anew.
//!
//! A whole small round, from request to receipts, is published in `testdata/round.txt`, together
//! with the second implementation that made it (`round.py`).

mod noisy;

use model::{HospitalId, Refusal, RefusalCode};

use crate::admit::Round;
use crate::bins::Tally;
use crate::blind::{Factor, accumulate, blinded, counted, shift};
use crate::canonical::{Writer, sha256};
use crate::domain::Places;
use crate::mask::{CELL_BYTES, Expander, Seed, write_cells};
use crate::partial::{Partial, PartialGroup};
use crate::shape::{Check, DOMINANCE_COLUMNS, Shape, money_sums};
use crate::sign;
use crate::sketch::{Sketch, Sketched};

/// Cells that are hashed at a time; a call of the hash for each would cost more than its work.
const HASHED_CELLS: usize = 4_096;

/// A masked upload. Only [`conceal`] makes one, and it reveals nothing without the witness.
pub struct Concealed {
    entries: Vec<u128>,
    hash: [u8; 32],
}

/// What a hospital vouches for when it uploads; signed with its signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The round.
    pub sid: [u8; 32],
    /// The request.
    pub request: [u8; 32],
    /// [`upload_hash`] of the upload's cells.
    pub upload: [u8; 32],
    /// SHA-256 of the sealed seed.
    pub sealed: [u8; 32],
}

impl std::fmt::Debug for Concealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Concealed({} entries)", self.entries.len())
    }
}

impl Concealed {
    /// The masked cells, column after column.
    #[must_use]
    pub fn entries(&self) -> &[u128] {
        &self.entries
    }

    /// [`upload_hash`] of the cells as they travel: 16 bytes each, little-endian.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

impl Receipt {
    /// The receipt of an upload whose cells hash to `upload` and whose seed was sealed so.
    #[must_use]
    pub fn of(sid: [u8; 32], request: [u8; 32], upload: [u8; 32], sealed_seed: &[u8]) -> Self {
        Self { sid, request, upload, sealed: sha256(sealed_seed) }
    }

    fn bytes(&self) -> [u8; 32] {
        let mut writer = Writer::new("consilium/receipt/v1");
        for hash in [&self.sid, &self.request, &self.upload, &self.sealed] {
            writer.bytes(hash);
        }
        writer.hash()
    }

    /// Signs it.
    #[must_use]
    pub fn sign(&self, key: &sign::SigningKey) -> sign::Signature {
        key.sign(sign::Context::Receipt, &self.bytes())
    }

    /// Checks a hospital's signature.
    ///
    /// # Errors
    /// [`sign::KeyError::Forged`].
    pub fn verify(
        &self,
        key: &sign::VerifyKey,
        signature: &sign::Signature,
    ) -> Result<(), sign::KeyError> {
        key.verify(sign::Context::Receipt, &self.bytes(), signature)
    }
}

/// What stands for an upload in receipts: BLAKE3 of its bytes. Uploads are by far the most that is
/// hashed; everything else is SHA-256.
#[must_use]
pub fn upload_hash(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

/// What a sealed seed is bound to beside its context `seed`: round, hospital and upload.
#[must_use]
pub fn seed_binding(sid: &[u8; 32], hospital: &HospitalId, upload: &[u8; 32]) -> [u8; 32] {
    let mut writer = Writer::new("consilium/seed/v1");
    writer.bytes(sid);
    writer.text(hospital.as_str());
    writer.bytes(upload);
    writer.hash()
}

/// What a guard secret is bound to beside its context `guard`: roster and hospital.
#[must_use]
pub fn guard_binding(roster: &[u8; 32], hospital: &HospitalId) -> [u8; 32] {
    let mut writer = Writer::new("consilium/guard/v2");
    writer.bytes(roster);
    writer.text(hospital.as_str());
    writer.hash()
}

/// Lays the groups out over the round's domain and masks every cell with `seed`'s streams, if the witness is told
/// where they stand.
///
/// # Errors
/// A [`Refusal`] with code `offer` when the terms say that they stand elsewhere.
pub fn conceal(partial: Partial, round: &Round, seed: &Seed) -> Result<Concealed, Refusal> {
    debug_assert_eq!(partial.admitted().request().hash(), round.admitted.request().hash());
    check_places(&partial, round)?;
    let mut entries = match &round.terms.noise {
        Some(noise) => noisy::lay_out(partial, round, noise),
        None => lay_out(partial, round),
    };
    let mut expander = Expander::default();
    let stream = seed.stream(&round.sid, &round.hospital);
    let mut hasher = blake3::Hasher::new();
    let mut bytes = Vec::with_capacity(HASHED_CELLS * CELL_BYTES);
    for (first, cells) in (0..).step_by(HASHED_CELLS).zip(entries.chunks_mut(HASHED_CELLS)) {
        expander.add(&stream, first, cells);
        write_cells(cells, &mut bytes);
        hasher.update(&bytes);
    }
    Ok(Concealed { entries, hash: *hasher.finalize().as_bytes() })
}

/// The terms are bound to where the hospital itself finds that the request's cells stand.
fn check_places(partial: &Partial, round: &Round) -> Result<(), Refusal> {
    let veiled = partial.frame().map(|frame| {
        round.veil.covers(frame)?;
        let request = round.admitted.request();
        Ok(round.veil.over(frame, request, &round.terms.shape, &round.round_key))
    });
    let expected = veiled.transpose()?.flatten().map_or([0; 32], |veiled| veiled.hash());
    if expected == round.terms.veiled {
        return Ok(());
    }
    let reason = "The offer says that the question's cells stand elsewhere among others.";
    Err(Refusal::new(RefusalCode::Offer, "veiled", reason, "Use matching versions of Consilium."))
}

/// Cells before the mask, column after column, in the round's order.
fn lay_out(partial: Partial, round: &Round) -> Vec<u128> {
    let shape = &round.terms.shape;
    let cells = shape.cells();
    let mut entries = vec![0u128; shape.columns() * cells];
    if partial.is_below_selectivity() {
        return entries;
    }
    let request = round.admitted.request();
    let places: Vec<_> = request.domains().iter().map(crate::Domain::places).collect();
    let order = round.round_key.order(cells);
    let factors = round.round_key.factors(cells * shape.money_sums());
    let local_minimum = u64::from(round.local_minimum);
    let (groups, population) = partial.into_parts();
    let Some((sketches, whole)) = population.sketches(shape.sketched(), groups.len()) else {
        return entries;
    };
    if shape.sketched() == Sketched::Whole {
        let places = entries[shape.sketches().start * cells..].iter_mut();
        places.zip(whole.to_cells()).for_each(|(place, cell)| *place = cell);
    }
    for (index, group) in groups.into_iter().enumerate() {
        // A minimum of one keeps nothing back, not even who stands beside a node of nobody here.
        let is_small = group.persons < local_minimum || group.stays < local_minimum;
        if is_small && local_minimum > 1 {
            continue;
        }
        let Some(cell) = cell_of(&group, &places, request.domains()) else { continue };
        let Some(&place) = order.get(cell) else { continue };
        let mut columns = Columns { entries: &mut entries, cells, place: place as usize };
        let of_cell = cell * shape.money_sums()..(cell + 1) * shape.money_sums();
        write_group(&group, round, &factors[of_cell], &mut columns);
        if let Some(sketch) = sketches.get(index) {
            columns.merge_sketch(shape, sketch);
        }
    }
    write_checks(&mut entries, round);
    entries
}

/// The cell of a group in the product of the domains, the last dimension running fastest.
fn cell_of(group: &PartialGroup, places: &[Places], domains: &[crate::Domain]) -> Option<usize> {
    let mut cell = 0;
    for ((code, places), domain) in group.key.iter().zip(places).zip(domains) {
        cell = cell * domain.size() + places.of_label(code.as_deref())?;
    }
    Some(cell)
}

/// One cell across all columns.
struct Columns<'a> {
    entries: &'a mut [u128],
    cells: usize,
    place: usize,
}

impl Columns<'_> {
    fn set(&mut self, column: usize, value: u128) {
        self.entries[column * self.cells + self.place] = value;
    }

    /// Groups that fall together are one population, and each counter stays within its bits.
    fn merge_sketch(&mut self, shape: &Shape, sketch: &Sketch) {
        let columns = shape.sketches();
        let at = |column: usize| self.entries[column * self.cells + self.place];
        let mut whole = Sketch::from_cells(columns.clone().map(at));
        whole.merge(sketch);
        columns.zip(whole.to_cells()).for_each(|(column, cell)| self.set(column, cell));
    }

    /// A hospital has each bin once, however its groups fall together.
    fn merge_tally(&mut self, column: usize, bin: usize, tally: Tally) {
        let entry = &mut self.entries[column * self.cells + self.place];
        let known = Tally::from_cell(*entry, bin);
        *entry += known.with(tally).to_cell(bin) - known.to_cell(bin);
    }

    fn add(&mut self, column: usize, value: u128) {
        let entry = &mut self.entries[column * self.cells + self.place];
        *entry = entry.wrapping_add(value);
    }
}

/// `factors` are those of the cell's money sums, in their order.
fn write_group(group: &PartialGroup, round: &Round, factors: &[Factor], columns: &mut Columns<'_>) {
    let shape = &round.terms.shape;
    let request = round.admitted.request();
    // Counts beyond the threshold say no more than the threshold does.
    let cap = u64::from(round.admitted.thresholds().persons_cap());
    let capped = |count: u64| u128::from(count.min(cap));
    columns.add(0, capped(group.persons));
    columns.add(1, capped(group.stays));
    if let Some(sizes) = shape.sizes() {
        columns.add(sizes, group.rows.checked_ilog2().map_or(0, |power| 1 << power));
    }
    // Set, not added: a hospital is one contributor however its groups fall together. A node of a tree
    // may have nobody here and its sibling somebody.
    if group.rows > 0 {
        columns.set(2, 1);
    }
    // A listing asks which places pass, and rows are what the coordinator would read of those: less
    // the rows of a common code, they would be the count of a rare one in the same bucket, and less
    // those of another round, of what failed in between.
    let rows = if request.is_listing() { 0 } else { group.rows };
    columns.add(shape.value_columns(0).0.start, u128::from(rows));
    let is_money = |input: usize| request.inputs().get(input).is_some_and(|input| input.money);
    let (mut offset, mut factors, mut bins) = (0, factors.iter(), group.bins.iter());
    for (index, measure) in request.measures().iter().enumerate() {
        for (column, sets) in shape.supports(index).zip(group.supports[index].sets()) {
            columns.add(column, capped(*sets));
        }
        let sums = money_sums(*measure, &is_money);
        let dominance = shape.dominance(index).step_by(DOMINANCE_COLUMNS);
        for ((column, (cell, input)), factor) in dominance.zip(sums).zip(factors.by_ref()) {
            let down = shift(request.inputs()[input].bound_bits());
            let limbs = blinded(group.cells[offset + cell], down, *factor);
            limbs.into_iter().enumerate().for_each(|(i, limb)| columns.add(column + i, limb));
        }
        // A person is counted in one bin only, so that a bin of a plain histogram may have rows and
        // nobody who is counted in it.
        let is_plain = measure.tallies() == 1;
        for columns_of in shape.bins(index) {
            let rows = group.cells[offset..].iter();
            let tallies = columns_of.into_iter().zip(bins.by_ref()).zip(rows);
            for (bin, ((column, persons), rows)) in tallies.enumerate() {
                let is_here = *persons > 0 || (is_plain && *rows > 0);
                let tally = Tally { persons: capped(*persons), hospitals: u128::from(is_here) };
                columns.merge_tally(column, bin, tally);
            }
        }
        for (column, cell) in shape.value_columns(index + 1).0.zip(&group.cells[offset..]) {
            columns.add(column, cell.cast_unsigned());
        }
        offset += measure.width();
    }
}

fn write_checks(entries: &mut [u128], round: &Round) {
    let shape = &round.terms.shape;
    let guard = round.guard_key.coefficients(shape.guards());
    combine_into(entries, shape, shape.guards(), (0..shape.guards()).zip(guard));
    let values = round.round_key.coefficients(shape.columns() - shape.guards() - 1);
    for part in 0..=shape.measures().len() {
        if let Some((columns, coefficient)) = shape.counted(part) {
            let cells = &mut entries[columns.start * shape.cells()..columns.end * shape.cells()];
            cells.iter_mut().for_each(|cell| *cell = counted(*cell, values[coefficient]));
            continue;
        }
        for Check { columns, coefficient, check } in shape.checks(part) {
            let terms = columns.zip(values[coefficient..].iter().copied());
            combine_into(entries, shape, check, terms);
        }
    }
}

fn combine_into(
    entries: &mut [u128],
    shape: &Shape,
    check: usize,
    terms: impl Iterator<Item = (usize, u128)>,
) {
    let cells = shape.cells();
    let mut sum = vec![0u128; cells];
    for (column, coefficient) in terms {
        accumulate(&mut sum, coefficient, &entries[column * cells..(column + 1) * cells]);
    }
    entries[check * cells..(check + 1) * cells].copy_from_slice(&sum);
}

#[cfg(test)]
mod tests;
