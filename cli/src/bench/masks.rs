//! How fast masks are made, against the bare cipher they are made with.
//!
//! Both work through 64 MiB of memory: the cipher seals them in place, in large blocks, the
//! expander adds the key's stream to cells.

use std::time::Duration;

use privacy::mask::{CELL_BYTES, Expander, Seed};
use serde::Serialize;

use super::bare::Bare;
use super::note;
use super::times::{gigabytes_a_second, median, timed};
use crate::exit::Failure;
use crate::run::Context;

/// Bytes of one run.
const BYTES: u32 = 64 << 20;
/// Counted runs of each.
const RUNS: usize = 15;

/// Medians, in 10^9 bytes a second.
#[derive(Debug, Serialize)]
pub(super) struct Masks {
    pub(super) mask_gb_s: f64,
    pub(super) bare_gb_s: f64,
    /// Speed of masks over speed of the cipher.
    pub(super) ratio: f64,
}

pub(super) fn measure(context: &Context) -> Result<Masks, Failure> {
    note(context, "measuring masks");
    let internal = |what: &str| Failure::Internal(format!("measuring masks: {what}"));
    let bytes = usize::try_from(BYTES).map_err(|_| internal("memory is too small"))?;
    let seed = Seed::from_slice(&[9; 32]).ok_or_else(|| internal("a seed has 32 bytes"))?;
    let hospital = "bench".parse().map_err(|_| internal("a hospital has a name"))?;
    let stream = seed.stream(&[0; 32], &hospital);
    let mut expander = Expander::default();
    let bare = Bare::new()?;
    let mut cells = vec![0u128; bytes / CELL_BYTES];
    let mut sealed = vec![0u8; bytes];
    let (mut masking, mut sealing) = (Vec::new(), Vec::new());
    // The first run of each touches its memory and is not counted.
    for run in 0..=RUNS {
        let (mut a, mut b) = (Duration::ZERO, Duration::ZERO);
        timed(&context.clock, &mut a, || expander.add(&stream, 0, &mut cells));
        timed(&context.clock, &mut b, || bare.seal(&mut sealed))?;
        if run > 0 {
            masking.push(a);
            sealing.push(b);
        }
    }
    let speed = |all: &[Duration]| gigabytes_a_second(f64::from(BYTES), median(all));
    let (mask_gb_s, bare_gb_s) = (speed(&masking), speed(&sealing));
    Ok(Masks { mask_gb_s, bare_gb_s, ratio: mask_gb_s / bare_gb_s })
}
