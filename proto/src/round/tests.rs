//! Everything that travels in a round comes back as it was, and damage is refused.

use privacy::RoundNoise;
use privacy::sign::SigningKey;
use proptest::prelude::*;
use prost::Message;

use super::*;

fn terms() -> Terms {
    let measures = vec![
        MeasureShape { supports: 4, money: 1, width: 2, bins: 0, tallies: 0, whole: true },
        MeasureShape { supports: 4, money: 0, width: 3, bins: 3, tallies: 1, whole: false },
    ];
    Terms {
        region: "east".into(),
        nonce_a: [1; 32],
        nonce_b: [2; 32],
        request: [3; 32],
        family: [4; 32],
        round_key: [5; 32],
        veiled: [8; 32],
        noise: Some(RoundNoise {
            rho_micro: 5_000,
            rows_per_person: 1,
            money: 2,
            number: 3,
            deviations: vec![18, 0, u128::MAX],
        }),
        witness_key: [6; 32],
        floor: Floor { persons: 11, stays: 12, hospitals: 3, dominance_e4: 5_625 },
        roster: [7; 32],
        hospitals: ["h-1", "h-2", "h-3"].map(|id| id.parse().unwrap()).to_vec(),
        shape: Shape::new(9, measures, Sketched::Cells).unwrap(),
        lifetime_ms: 30_000,
    }
}

#[test]
fn terms_keep_their_sid_over_the_wire() {
    let wire = encode_terms(&terms());
    let again = v1::Terms::decode(wire.encode_to_vec().as_slice()).unwrap();
    let back = decode_terms(again, false).unwrap();
    assert_eq!((back.sid(), &back), (terms().sid(), &terms()));
    let mut proposal = encode_terms(&terms());
    (proposal.nonce_b, proposal.witness_key) = (Vec::new(), Vec::new());
    assert!(decode_terms(proposal.clone(), false).is_err());
    assert_eq!(decode_terms(proposal, true).unwrap().nonce_b, [0; 32]);
    for damage in [
        (|t: &mut v1::Terms| t.floor = None) as fn(&mut v1::Terms),
        |t| t.shape = None,
        |t| t.request.truncate(31),
        |t| t.hospitals.push("../etc".into()),
        |t| t.shape.as_mut().unwrap().cells = 0,
        |t| t.shape.as_mut().unwrap().cells = u32::MAX,
    ] {
        let mut wire = encode_terms(&terms());
        damage(&mut wire);
        assert!(decode_terms(wire, false).is_err());
    }
}

#[test]
fn what_is_opened_comes_back_and_stays_bounded() {
    let opened = Opened {
        places: vec![0, 3, 8],
        verdicts: vec![1, 5, 7],
        runs: vec![true, false, true, false, false, true],
        masks: (0..15).collect(),
        withheld_groups: 2,
        withheld_measures: 1,
        remainder: Some([77, 78]),
    };
    let signature = SigningKey::from_seed([1; 32]).sign(privacy::sign::Context::Buckets, b"x");
    let shape = terms().shape;
    let mut assembler = OpenedAssembler::new(&shape);
    for part in encode_opened(&opened, Some(&signature)) {
        assembler.add(part).unwrap();
    }
    assert_eq!(assembler.finish().unwrap(), (opened.clone(), Some(signature)));
    assert!(OpenedAssembler::new(&shape).finish().is_err(), "nothing came");
    let mut late = OpenedAssembler::new(&shape);
    assert!(late.add(encode_opened(&opened, None).nth(1).unwrap()).is_err(), "no header yet");
    let shifted = |bins: u32| v1::OpenedPart {
        part: Some(v1::opened_part::Part::Runs(v1::OpenedRuns { bins, ends: vec![0; 2] })),
    };
    for bins in [8, 17, u32::MAX] {
        let mut assembler = OpenedAssembler::new(&shape);
        assembler.add(encode_opened(&opened, None).next().unwrap()).unwrap();
        assert!(assembler.add(shifted(bins)).is_err(), "{bins} bins in two bytes");
    }
    let flood = Opened { masks: vec![0; 9 * 100], ..opened };
    let mut assembler = OpenedAssembler::new(&shape);
    let outcome: Result<Vec<()>, _> =
        encode_opened(&flood, None).map(|part| assembler.add(part)).collect();
    assert!(outcome.is_err(), "more masks than the round has cells");
}

proptest! {
    #[test]
    fn cells_round_trip(cells in prop::collection::vec(any::<u128>(), 0..300)) {
        let mut back = Vec::new();
        for index in 0..cells_parts(cells.len()) {
            add_cells(&mut back, &cells_part(&cells, index), cells.len()).unwrap();
        }
        prop_assert_eq!(&back, &cells);
        let long = v1::Cells { cells: vec![0; 16] };
        prop_assert!(add_cells(&mut back, &long, cells.len()).is_err());
        let torn = v1::Cells { cells: vec![0; 15] };
        prop_assert!(add_cells(&mut Vec::new(), &torn, 9).is_err());
    }

    #[test]
    fn arbitrary_offers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(wire) = v1::Offer::decode(bytes.as_slice()) {
            let _ = decode_offer(wire);
        }
        if let Ok(wire) = v1::OpenedPart::decode(bytes.as_slice()) {
            let _ = OpenedAssembler::new(&terms().shape).add(wire);
        }
    }
}
