//! The forms of an answer, to the byte.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array,
    Int64Array, RecordBatch, StringArray, TimestampSecondArray, UInt64Array,
};
use arrow::datatypes::{Field, Int32Type, Schema};
use proto::v1;

use super::*;
use crate::message::Lang;

fn console() -> Console {
    Console::new(Lang::En, true)
}

fn provenance() -> v1::Provenance {
    v1::Provenance {
        id: "r-1".to_owned(),
        scope: "pooled".to_owned(),
        mode: "clear".to_owned(),
        sids: Vec::new(),
        hospitals_asked: 3,
        hospitals_answered: 2,
        missing: vec![v1::Missing { hospital: "h-3".to_owned(), reason: "deadline".to_owned() }],
        stays_coverage: Some(0.961),
        cells_released: 312,
        cells_withheld: 40,
        measures_withheld: 0,
        elapsed_ms: 38,
        bytes_received: 4_096,
        rounds: 1,
        noise: Vec::new(),
        approximations: Vec::new(),
    }
}

fn answer(columns: Vec<(&str, ArrayRef)>) -> Answer {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
    Answer { schema, batches: vec![batch], release: provenance().into() }
}

fn every_kind() -> Answer {
    let cost = Decimal128Array::from(vec![Some(1_234_500), None, Some(-5)]);
    let codes: DictionaryArray<Int32Type> = vec!["GD1\"9", "阑尾", "a,b"].into_iter().collect();
    answer(vec![
        ("drg", Arc::new(codes)),
        ("n", Arc::new(Int64Array::from(vec![Some(12), None, Some(i64::MIN)]))),
        ("n", Arc::new(UInt64Array::from(vec![u64::MAX, 0, 1]))),
        ("cost", Arc::new(cost.with_precision_and_scale(18, 4).unwrap())),
        ("sd", Arc::new(Float64Array::from(vec![0.1 + 0.2, f64::NAN, 1e300]))),
        ("died", Arc::new(BooleanArray::from(vec![true, false, true]))),
        ("at", Arc::new(TimestampSecondArray::from(vec![0, 1, 86_399]))),
        ("day", Arc::new(Date32Array::from(vec![0, 1, 2]))),
    ])
}

fn written(answer: &Answer, format: Format) -> String {
    let mut out = Vec::new();
    answer.write(format, console(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn json_is_stable_and_exact() {
    let release = concat!(
        r#""release":{"id":"r-1","scope":"pooled","mode":"clear","hospitals":{"asked":3,"#,
        r#""answered":2,"missing":[{"hospital":"h-3","reason":"deadline"}]},"#,
        r#""stays_coverage":0.961,"cells":{"released":312,"withheld":40},"#,
        r#""measures_withheld":0,"bytes_received":4096,"rounds":1,"elapsed_ms":38}}"#
    );
    let expected = [
        concat!(
            r#"{"columns":[{"name":"drg","type":"text"},{"name":"n","type":"integer"},"#,
            r#"{"name":"n_2","type":"integer"},{"name":"cost","type":"decimal"},"#,
            r#"{"name":"sd","type":"double"},{"name":"died","type":"boolean"},"#,
            r#"{"name":"at","type":"timestamp"},{"name":"day","type":"date"}],"#
        ),
        r#""rows":["#,
        concat!(
            r#"{"drg":"GD1\"9","n":12,"n_2":18446744073709551615,"cost":"123.4500","#,
            r#""sd":0.30000000000000004,"died":true,"at":"1970-01-01T00:00:00","day":"1970-01-01"},"#
        ),
        concat!(
            r#"{"drg":"阑尾","n":null,"n_2":0,"cost":null,"sd":null,"died":false,"#,
            r#""at":"1970-01-01T00:00:01","day":"1970-01-02"},"#
        ),
        concat!(
            r#"{"drg":"a,b","n":-9223372036854775808,"n_2":1,"cost":"-0.0005","sd":1e+300,"#,
            r#""died":true,"at":"1970-01-01T23:59:59","day":"1970-01-03"}],"#
        ),
        release,
        "",
    ];
    assert_eq!(written(&every_kind(), Format::Json), expected.join("\n"));

    let mut none = every_kind();
    none.batches.clear();
    none.release.stays_coverage = None;
    let text = written(&none, Format::Json);
    assert!(text.contains("\"rows\":[],\n"), "{text}");
    assert!(text.contains("\"stays_coverage\":null"), "{text}");
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(parsed["columns"].as_array().unwrap().len(), 8);
}

#[test]
fn csv_follows_rfc_4180() {
    assert_eq!(
        written(&every_kind(), Format::Csv),
        "drg,n,n_2,cost,sd,died,at,day\r\n\
         \"GD1\"\"9\",12,18446744073709551615,123.4500,0.30000000000000004,true,1970-01-01T00:00:00,1970-01-01\r\n\
         阑尾,,0,,,false,1970-01-01T00:00:01,1970-01-02\r\n\
         \"a,b\",-9223372036854775808,1,-0.0005,1e300,true,1970-01-01T23:59:59,1970-01-03\r\n"
    );
}

#[test]
fn a_table_rounds_and_the_summary_names_who_is_missing() {
    let cost = Decimal128Array::from(vec![Some(1_234_567_800), Some(15_000)]);
    let small = answer(vec![
        ("drg", Arc::new(StringArray::from(vec!["GD19", "阑尾"]))),
        ("stays", Arc::new(Int64Array::from(vec![1_200, 11]))),
        ("mean", Arc::new(cost.with_precision_and_scale(18, 4).unwrap())),
    ]);
    assert_eq!(
        written(&small, Format::Table),
        "╭──────┬───────┬───────────╮\n\
         │ drg  ┆ stays ┆      mean │\n\
         ╞══════╪═══════╪═══════════╡\n\
         │ GD19 ┆  1200 ┆ 123456.78 │\n\
         │ 阑尾 ┆    11 ┆     1.500 │\n\
         ╰──────┴───────┴───────────╯\n"
    );
    assert_eq!(
        small.release.summary(console()),
        "2 of 3 hospitals, 96.1 % of stays, 312 cells released, 40 withheld, clear, 38 ms\n  \
         missing: h-3 (deadline)"
    );
}

#[test]
fn a_percentile_says_how_exact_it_is() {
    let mut told = provenance();
    told.approximations = vec![v1::Approximation {
        aggregate: "approx_median(stay.los_days)".to_owned(),
        groups: 68,
        exact: 61,
        untold: 3,
        largest_error: 2.5,
        largest_relative_error: 0.125,
    }];
    let release = Release::from(told);
    assert!(release.summary(console()).contains(
        "approx_median(stay.los_days): exact in 61 groups, near in 7 (at most 2.500 or 12.5 % off), \
         not told in 3"
    ));
    let json = serde_json::to_value(&release).unwrap();
    assert_eq!(json["approximations"][0]["exact"], 61);
}

#[test]
fn columnar_files_read_back_with_their_release() {
    let answer = every_kind();
    let mut parquet = Vec::new();
    answer.write(Format::Parquet, console(), &mut parquet).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(
        bytes::Bytes::from(parquet),
    )
    .unwrap();
    let metadata = reader.metadata().file_metadata().key_value_metadata().unwrap();
    let stored = metadata.iter().find(|kv| kv.key == columnar::RELEASE_KEY).unwrap();
    let release: serde_json::Value =
        serde_json::from_str(stored.value.as_deref().unwrap()).unwrap();
    assert_eq!(release["cells"]["released"], 312);
    let batch = reader.build().unwrap().next().unwrap().unwrap();
    assert_eq!((batch.num_rows(), batch.schema().field(2).name().as_str()), (3, "n_2"));

    let mut arrow = Vec::new();
    answer.write(Format::Arrow, console(), &mut arrow).unwrap();
    let reader =
        arrow::ipc::reader::FileReader::try_new(std::io::Cursor::new(arrow), None).unwrap();
    assert!(reader.custom_metadata().contains_key(columnar::RELEASE_KEY));
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 3);
}

#[test]
fn an_answer_is_assembled_from_any_parts_and_only_when_whole() {
    let sent = every_kind();
    let mut stream = Vec::new();
    let mut writer = arrow::ipc::writer::StreamWriter::try_new(&mut stream, &sent.schema).unwrap();
    writer.write(&sent.batches[0]).unwrap();
    writer.finish().unwrap();
    drop(writer);
    let mut assembly = Assembly::default();
    for part in stream.chunks(7) {
        assembly.part(part.to_vec()).unwrap();
    }
    assembly.release(provenance());
    let received = assembly.finish().unwrap();
    assert_eq!(written(&received, Format::Json), written(&sent, Format::Json));

    let mut cut = Assembly::default();
    cut.part(stream[..stream.len() / 2].to_vec()).unwrap();
    cut.release(provenance());
    assert_eq!(cut.finish().unwrap_err().code(), 70);
    assert!(Assembly::default().finish().is_err());
}
