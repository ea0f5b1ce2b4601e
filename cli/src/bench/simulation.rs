//! A masked round of many hospitals, computed in this process by the functions that the parties
//! call, against the bare cipher sealing as many bytes.
//!
//! Everything between the hospitals' laid-out cells and the coordinator's groups is done and timed,
//! except the network, the record, and the hash of each upload, which is told apart: hospital and
//! coordinator each compute it once. Uploads are made, added up and dropped one at a time. The
//! bare cipher runs between the hospitals and around the witness's work, so that both see the same
//! machine. The sums are checked; a round that came out wrong has no speed.

mod parties;

use std::time::Duration;

use model::HospitalId;
use num_traits::ToPrimitive;
use privacy::Combined;
use privacy::mask::{Expander, Seed, write_cells};
use privacy::open::{Opened, judge, mask_sums, unmask};
use privacy::reveal::{Total, reveal};
use privacy::sketch::Known;
use serde::Serialize;

use super::bare::Bare;
use super::memory::peak_of;
use super::note;
use super::times::{gigabytes_a_second, milliseconds, timed};
use crate::exit::Failure;
use crate::run::Context;
use parties::{Hospital, Parties, Proof};

/// Hospitals of the simulated round.
const HOSPITALS: usize = 300;

/// The witness's part, the whole round, and their yardsticks.
#[derive(Debug, Serialize)]
pub(super) struct Simulated {
    hospitals: usize,
    cells: usize,
    columns: usize,
    upload_mb: f64,
    pub(super) witness_ms: f64,
    /// The bare cipher, as many bytes as the witness expands: every column of every hospital.
    pub(super) bare_ms: f64,
    pub(super) ratio: f64,
    pub(super) round_ms: f64,
    /// The bare cipher, as many bytes as hospitals and witness expand together.
    pub(super) round_bare_ms: f64,
    pub(super) round_ratio: f64,
    /// Hashing every upload once; a round does it twice, and `round_ms` leaves it out.
    pub(super) hash_ms: f64,
    pub(super) hash_gb_s: f64,
    /// The round with both hashes over `round_bare_ms`.
    pub(super) hashed_round_ratio: f64,
    phases_ms: Phases,
    /// Peak resident memory of this process until the end of the round, in MiB.
    pub(super) peak_mb: Option<f64>,
}

/// Where the time goes. The first two are the hospitals' and the coordinator's, the next four the
/// witness's, the last the coordinator's again.
#[derive(Debug, Clone, Copy, Serialize)]
struct Phases {
    masking: f64,
    adding: f64,
    opening_seeds: f64,
    unmasking: f64,
    judging: f64,
    summing_masks: f64,
    revealing: f64,
}

/// Time spent in each part.
#[derive(Debug, Default)]
struct Spent {
    masking: Duration,
    adding: Duration,
    hashing: Duration,
    opening_seeds: Duration,
    unmasking: Duration,
    judging: Duration,
    summing_masks: Duration,
    revealing: Duration,
    bare_uploads: Duration,
    bare_witness: Duration,
}

/// What the hospitals' part leaves behind.
struct Uploaded {
    total: Total,
    proofs: Vec<Proof>,
}

pub(super) fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::Internal(format!("simulating a round: {error}"))
}

/// Simulates a round over `cells` groups.
pub(super) fn measure(cells: u32, context: &Context) -> Result<Simulated, Failure> {
    note(context, &format!("simulating a round of {HOSPITALS} hospitals and {cells} cells"));
    simulate(HOSPITALS, cells, context)
}

fn simulate(hospitals: usize, cells: u32, context: &Context) -> Result<Simulated, Failure> {
    let parties = Parties::new(hospitals, cells)?;
    let mut round = Simulation {
        parties: &parties,
        bare: Bare::new()?,
        expander: Expander::default(),
        spent: Spent::default(),
        context,
    };
    let uploaded = round.upload()?;
    let opened = round.witness(&uploaded)?;
    let combined = round.reveal(&uploaded.total, &opened)?;
    check(&parties, &combined)?;
    Ok(round.spent.report(&parties))
}

/// Every group came out with the rows of all hospitals and no measure missing.
fn check(parties: &Parties, combined: &Combined) -> Result<(), Failure> {
    let (groups, rows) = parties.held();
    let expected = rows * u64::try_from(parties.hospitals.len()).unwrap_or(u64::MAX);
    let whole = combined.groups.len() == groups
        && combined.released_rows == expected
        && combined.withheld_measures == 0;
    if whole { Ok(()) } else { Err(wrong("its sums are not those of the hospitals")) }
}

struct Simulation<'a> {
    parties: &'a Parties,
    bare: Bare,
    expander: Expander,
    spent: Spent,
    context: &'a Context,
}

impl Simulation<'_> {
    /// Hospitals mask, the coordinator adds up.
    fn upload(&mut self) -> Result<Uploaded, Failure> {
        let parties = self.parties;
        let (shape, clock) = (&parties.terms.shape, &self.context.clock);
        let laid_out = parties.laid_out()?;
        let mut total = Total::new(shape);
        let mut proofs = Vec::with_capacity(parties.hospitals.len());
        let mut cells = laid_out.clone();
        let mut upload = Vec::with_capacity(shape.bytes());
        for hospital in &parties.hospitals {
            let expander = &mut self.expander;
            cells.copy_from_slice(&laid_out);
            timed(clock, &mut self.spent.masking, || {
                mask(&mut cells, parties, hospital, expander, &mut upload);
            });
            timed(clock, &mut self.spent.adding, || total.add(&upload)).map_err(wrong)?;
            let hash = timed(clock, &mut self.spent.hashing, || parties::hash(&upload));
            proofs.push(parties.prove(hospital, hash)?);
            let bare = &mut self.bare;
            timed(clock, &mut self.spent.bare_uploads, || bare.streams(parties, 1))?;
        }
        Ok(Uploaded { total, proofs })
    }

    /// The witness opens what passes.
    fn witness(&mut self, uploaded: &Uploaded) -> Result<Opened, Failure> {
        let Self { parties, bare, spent, context, .. } = self;
        let (terms, sid, clock) = (&parties.terms, &parties.sid, &context.clock);
        let shape = &terms.shape;
        let hospitals = uploaded.proofs.len();
        timed(clock, &mut spent.bare_witness, || bare.streams(parties, hospitals / 2))?;
        let mut sums = uploaded.total.witnessed(shape).to_vec();
        let seeds: Vec<(HospitalId, Seed)> = timed(clock, &mut spent.opening_seeds, || {
            uploaded.proofs.iter().map(|proof| parties.open(proof)).collect::<Result<_, _>>()
        })?;
        timed(clock, &mut spent.unmasking, || unmask(&mut sums, shape, sid, &seeds))
            .map_err(wrong)?;
        let verdict = timed(clock, &mut spent.judging, || {
            judge(
                &sums,
                shape,
                &terms.floor,
                &parties.guard_key,
                hospitals,
                (&Known::default(), None),
            )
        });
        let verdict = verdict.map_err(wrong)?;
        drop(sums);
        let opened =
            timed(clock, &mut spent.summing_masks, || mask_sums(&verdict, shape, sid, &seeds));
        let rest = hospitals - hospitals / 2;
        timed(clock, &mut spent.bare_witness, || bare.streams(parties, rest))?;
        Ok(opened)
    }

    /// The coordinator reads what was opened.
    fn reveal(&mut self, total: &Total, opened: &Opened) -> Result<Combined, Failure> {
        let Self { parties, spent, context, .. } = self;
        let Parties { request, terms, round_key, .. } = parties;
        let combined = timed(&context.clock, &mut spent.revealing, || {
            reveal(total, opened, request, &terms.shape, round_key)
        });
        combined.map_err(wrong)
    }
}

/// Masks an upload where it is, as a hospital does, and writes it as it travels.
fn mask(
    cells: &mut [u128],
    parties: &Parties,
    hospital: &Hospital,
    expander: &mut Expander,
    upload: &mut Vec<u8>,
) {
    expander.add(&hospital.seed.stream(&parties.sid, &hospital.id), 0, cells);
    write_cells(cells, upload);
}

impl Bare {
    /// The streams of so many hospitals' uploads.
    fn streams(&mut self, parties: &Parties, hospitals: usize) -> Result<(), Failure> {
        (0..hospitals).try_for_each(|_| self.expand(parties.terms.shape.bytes()))
    }
}

impl Simulated {
    /// For people.
    pub(super) fn lines(&self) -> Vec<String> {
        let Self { hospitals, cells, columns, upload_mb, .. } = self;
        let Phases { masking, adding, opening_seeds, unmasking, judging, summing_masks, revealing } =
            self.phases_ms;
        let peak = self.peak_mb.map(|mb| format!("   {mb:.0} MiB resident at its peak"));
        vec![
            format!(
                "simulated round: {hospitals} hospitals x {cells} cells x {columns} columns, \
                 {upload_mb:.1} MiB each{}",
                peak.unwrap_or_default()
            ),
            format!(
                "witness {:>8.0} ms   bare cipher {:>8.0} ms   ratio {:.2}   (seeds \
                 {opening_seeds:.0}, unmask {unmasking:.0}, judge {judging:.0}, masks \
                 {summing_masks:.0})",
                self.witness_ms, self.bare_ms, self.ratio
            ),
            format!(
                "round   {:>8.0} ms   bare cipher {:>8.0} ms   ratio {:.2}   (mask {masking:.0}, \
                 add {adding:.0}, reveal {revealing:.0})",
                self.round_ms, self.round_bare_ms, self.round_ratio
            ),
            format!(
                "upload hash {:.0} ms at {:.2} GB/s, twice a round; with both the ratio is {:.2}",
                self.hash_ms, self.hash_gb_s, self.hashed_round_ratio
            ),
        ]
    }
}

impl Spent {
    fn report(&self, parties: &Parties) -> Simulated {
        let shape = &parties.terms.shape;
        let hospitals = parties.hospitals.len();
        let witness = self.opening_seeds + self.unmasking + self.judging + self.summing_masks;
        let round = self.masking + self.adding + witness + self.revealing;
        let round_bare = self.bare_uploads + self.bare_witness;
        let over = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
        let upload = shape.bytes().to_f64().unwrap_or(f64::NAN);
        let all = upload * hospitals.to_f64().unwrap_or(f64::NAN);
        Simulated {
            hospitals,
            cells: shape.cells(),
            columns: shape.columns(),
            upload_mb: upload / f64::from(1 << 20),
            witness_ms: milliseconds(witness),
            bare_ms: milliseconds(self.bare_witness),
            ratio: over(witness, self.bare_witness),
            round_ms: milliseconds(round),
            round_bare_ms: milliseconds(round_bare),
            round_ratio: over(round, round_bare),
            hash_ms: milliseconds(self.hashing),
            hash_gb_s: gigabytes_a_second(all, self.hashing),
            hashed_round_ratio: over(round + 2 * self.hashing, round_bare),
            phases_ms: Phases {
                masking: milliseconds(self.masking),
                adding: milliseconds(self.adding),
                opening_seeds: milliseconds(self.opening_seeds),
                unmasking: milliseconds(self.unmasking),
                judging: milliseconds(self.judging),
                summing_masks: milliseconds(self.summing_masks),
                revealing: milliseconds(self.revealing),
            },
            // Not every system tells.
            peak_mb: peak_of(std::process::id()).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use service::Clock;

    use super::*;
    use crate::console::Console;
    use crate::message::Lang;

    fn context() -> Context {
        Context { console: Console::new(Lang::En, true), clock: Clock::system() }
    }

    #[test]
    fn a_small_round_comes_out_right_and_every_part_is_timed() {
        let report = simulate(5, 150, &context()).unwrap();
        assert_eq!((report.hospitals, report.cells), (5, 150));
        // Three group guards; four sets behind each sum; five columns of dominance each; a sketch and a
        // size; a check;
        // rows; one and two times two cells; a check of rows and of each measure.
        assert_eq!(report.columns, 3 + 2 * 4 + 2 * 5 + 23 + 1 + 1 + 5 + 4);
        let Phases { masking, adding, opening_seeds, unmasking, judging, summing_masks, revealing } =
            report.phases_ms;
        let witness = opening_seeds + unmasking + judging + summing_masks;
        assert!((report.witness_ms - witness).abs() < 1e-6);
        assert!((report.round_ms - (masking + adding + witness + revealing)).abs() < 1e-6);
        let parts = [masking, adding, opening_seeds, unmasking, judging, summing_masks, revealing];
        assert!(parts.iter().all(|part| *part > 0.0), "{parts:?}");
        assert!(report.bare_ms > 0.0 && report.round_bare_ms > report.bare_ms);
    }

    #[test]
    fn a_round_that_came_out_wrong_has_no_speed() {
        let parties = Parties::new(3, 100).unwrap();
        let (groups, rows) = parties.held();
        assert_eq!(groups, 98);
        let mut combined = Combined { released_rows: 3 * rows, ..Combined::default() };
        assert!(check(&parties, &combined).is_err(), "no group came out");
        combined.released_rows -= 1;
        assert!(check(&parties, &combined).is_err());
    }
}
