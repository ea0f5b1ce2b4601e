//! What is agreed on noise: in the terms of a round, and in a hospital's description of its policy.

use model::Refusal;
use privacy::mask::write_cells;
use privacy::{Noise, RoundNoise};

use crate::round::{add_cells, malformed};
use crate::v1;

/// Most deviations of a noisy round: one for each cell of its measures.
const MAX_DEVIATIONS: usize = 1 << 12;

pub(crate) fn encode_round_noise(noise: &RoundNoise) -> v1::RoundNoise {
    let RoundNoise { rho_micro, rows_per_person, money, number, deviations } = noise;
    let mut bytes = Vec::new();
    write_cells(deviations, &mut bytes);
    v1::RoundNoise {
        rho_micro: *rho_micro,
        rows_per_person: *rows_per_person,
        money: *money,
        number: *number,
        deviations: bytes,
    }
}

pub(crate) fn decode_round_noise(wire: v1::RoundNoise) -> Result<RoundNoise, Refusal> {
    let v1::RoundNoise { rho_micro, rows_per_person, money, number, deviations: cells } = wire;
    let mut deviations = Vec::new();
    add_cells(&mut deviations, &v1::Cells { cells }, MAX_DEVIATIONS)
        .map_err(|_| malformed("noise"))?;
    Ok(RoundNoise { rho_micro, rows_per_person, money, number, deviations })
}

/// What a hospital's policy says about noise, as it travels.
#[must_use]
pub const fn encode_noise_policy(noise: Noise) -> v1::NoisePolicy {
    v1::NoisePolicy {
        rho_request_micro: noise.rho_request_micro,
        rho_user_year_micro: noise.rho_user_year_micro,
        rho_hospital_year_micro: noise.rho_hospital_year_micro,
        delta_e9: noise.delta_e9,
        rows_per_person: noise.rows_per_person,
        money: noise.money,
        number: noise.number,
    }
}

/// Reads what a hospital says; `None` when no policy can say so.
#[must_use]
pub fn decode_noise_policy(wire: v1::NoisePolicy) -> Option<Noise> {
    let noise = Noise {
        rho_request_micro: wire.rho_request_micro,
        rho_user_year_micro: wire.rho_user_year_micro,
        rho_hospital_year_micro: wire.rho_hospital_year_micro,
        delta_e9: wire.delta_e9,
        rows_per_person: wire.rows_per_person,
        money: wire.money,
        number: wire.number,
    };
    noise.is_sane().then_some(noise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_comes_back_as_it_was_and_nonsense_does_not() {
        let noise = Noise { money: 7, rows_per_person: 3, ..Noise::default() };
        let wire = encode_noise_policy(noise);
        assert_eq!(decode_noise_policy(wire), Some(noise));
        assert_eq!(decode_noise_policy(v1::NoisePolicy { money: 0, ..wire }), None);
        assert_eq!(decode_noise_policy(v1::NoisePolicy { rows_per_person: 101, ..wire }), None);
    }

    #[test]
    fn deviations_are_whole_and_few() {
        let wire =
            |cells| v1::RoundNoise { deviations: vec![1; cells], ..v1::RoundNoise::default() };
        assert_eq!(decode_round_noise(wire(32)).unwrap().deviations.len(), 2);
        assert!(decode_round_noise(wire(33)).is_err());
        assert!(decode_round_noise(wire(16 * (MAX_DEVIATIONS + 1))).is_err());
    }
}
