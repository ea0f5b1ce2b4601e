//! Releases survive the wire whole, and nothing malformed survives it.

use model::moments::Scale;
use privacy::measure::{Input, Measure};
use privacy::partial::{PartialGroup, Support};
use privacy::request::{RequestParts, Scope};
use privacy::sketch::{Known, Sketch};
use privacy::{Partial, Policy, Population, admit, release};

use super::*;

fn request() -> ReleaseRequest {
    ReleaseRequest::try_from(RequestParts {
        scope: Scope::PerHospital,
        asker: "ana".into(),
        relation_sql: String::new(),
        dimensions: vec!["drg_code".into(), "sex".into()],
        domains: Vec::new(),
        inputs: vec![Input { scale: Scale::Decimal(4), bound: 1 << 40, money: true }],
        measures: vec![Measure::Rows, Measure::Squares(0)],
        supports: vec![0, 4],
    })
    .unwrap()
}

fn released(groups: u64) -> Released {
    let group = |index: u64| PartialGroup {
        key: vec![
            Some(format!("组{}", index / 2)),
            index.is_multiple_of(2).then(|| "F".to_owned()),
        ],
        rows: 20 + index,
        stays: 20,
        persons: 20,
        cells: vec![i128::from(index), -1, i128::MIN, i128::MAX],
        supports: vec![
            Support::group(),
            [20, if index.is_multiple_of(9) { 3 } else { 20 }].into_iter().collect(),
        ],
        bins: Vec::new(),
    };
    let admitted = admit(request(), &Policy::answering(), privacy::Leave::None).unwrap();
    let groups: Vec<_> = (0..groups).map(group).collect();
    let nobody = Population::Cells(vec![Sketch::default(); groups.len()]);
    let partial = Partial::new(admitted, groups, nobody, 20, false);
    release(partial, &Known::default()).unwrap()
}

#[test]
fn a_release_survives_the_wire_in_bounded_messages() {
    for groups in [0, 1, 7, 8, 9, 30_000] {
        let released = released(groups);
        let chunks = chunks(&released, &request(), "abc");
        assert!(
            chunks
                .iter()
                .all(|chunk| prost::Message::encoded_len(chunk) < crate::MAX_MESSAGE_BYTES)
        );
        assert_eq!(chunks.len() > 1, groups == 30_000);
        let mut assembler = Assembler::new(&request());
        chunks.into_iter().for_each(|chunk| assembler.add(chunk).unwrap());
        let received = assembler.finish().unwrap();
        assert_eq!(received.groups.len(), released.groups().len());
        assert_eq!(received.withheld_measures, released.withheld_measures());
        for (mine, theirs) in received.groups.iter().zip(released.groups()) {
            assert_eq!((mine.key.as_slice(), mine.rows), (theirs.key(), theirs.rows()));
            assert_eq!(
                (mine.cells.as_slice(), mine.withheld.as_slice()),
                (theirs.cells(), theirs.withheld())
            );
        }
    }
}

#[test]
fn a_release_of_another_shape_is_an_error() {
    let whole = || chunks(&released(9), &request(), "abc").remove(0);
    let break_it: [fn(&mut v1::ReleaseChunk); 8] = [
        |chunk| chunk.groups = 8,
        |chunk| chunk.groups = u32::MAX,
        |chunk| chunk.rows.truncate(3),
        |chunk| _ = chunk.cells.pop(),
        |chunk| _ = chunk.cells[1].pop(),
        |chunk| chunk.keys[0].indices[2] = 99,
        |chunk| chunk.withheld[1].push(0),
        |chunk| chunk.keys.push(v1::KeyColumn::default()),
    ];
    for (index, break_it) in break_it.iter().enumerate() {
        let mut chunk = whole();
        break_it(&mut chunk);
        assert!(Assembler::new(&request()).add(chunk).is_err(), "case {index}");
    }
    let mut cut = whole();
    cut.summary = None;
    let mut assembler = Assembler::new(&request());
    assembler.add(cut).unwrap();
    assert_eq!(assembler.finish().unwrap_err(), WireError::Incomplete);
    let mut assembler = Assembler::new(&request());
    assembler.add(whole()).unwrap();
    assert_eq!(assembler.add(whole()), Err(WireError::Incomplete), "nothing follows the summary");
}

#[test]
fn a_recorded_release_comes_back_byte_for_byte() {
    let request = request();
    let answer = chunks(&released(9), &request, "snapshot");
    let bytes = to_record(&answer);
    assert_eq!(from_record(&bytes).unwrap(), answer);
    assert_eq!(from_record(&bytes[..bytes.len() - 1]), Err(WireError::Incomplete));
}
