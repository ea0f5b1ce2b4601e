//! Applying a model to a local file. Nothing of the file is sent anywhere.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type, Schema};
use flate2::read::MultiGzDecoder;
use learn::card::Card;
use learn::predict::{Predictor, Row};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::exit::Failure;
use crate::message::Message;
use crate::run::Context;
use crate::sheet::grouped;

/// Name of the column that is added.
const PREDICTED: &str = "predicted";

/// Rows that were scored, and those that could not be.
#[derive(Debug, Default)]
struct Count {
    scored: u64,
    left: u64,
}

fn wrong(file: &Path, reason: impl std::fmt::Display) -> Failure {
    Failure::Data(format!("{}: {reason}", file.display()))
}

pub(super) fn run(
    card: &Card,
    file: &Path,
    out: Option<&Path>,
    context: &Context,
) -> Result<(), Failure> {
    let predictor = Predictor::new(card).map_err(|error| Failure::Data(error.to_string()))?;
    let is_parquet = file.extension().is_some_and(|end| end.eq_ignore_ascii_case("parquet"));
    if let Some(out) = out {
        check_out(file, out, is_parquet)?;
    }
    let count = match (is_parquet, out) {
        (true, None) => {
            let reason = "a Parquet file is scored into a file: name one with --out";
            return Err(Failure::Usage(reason.to_owned()));
        }
        (true, Some(out)) => whole(out, |partial| parquet(card, &predictor, file, partial))?,
        (false, Some(out)) => whole(out, |partial| {
            let target = File::create(partial).map_err(Failure::output(partial))?;
            let mut target = std::io::BufWriter::new(target);
            let count = text(card, &predictor, file, &mut target)?;
            target.flush().map_err(Failure::output(partial))?;
            Ok(count)
        })?,
        (false, None) => {
            let mut buffer = Vec::new();
            let count = text(card, &predictor, file, &mut buffer)?;
            context.console.data(|out| out.write_all(&buffer))?;
            count
        }
    };
    let console = context.console;
    let parts: [&dyn std::fmt::Display; 3] =
        [&grouped(count.scored), &grouped(count.left), &card.design.response];
    console.note(console.text(Message::Scored, &parts));
    Ok(())
}

/// The output is of the input's kind.
fn check_out(file: &Path, out: &Path, is_parquet: bool) -> Result<(), Failure> {
    let ends = |end: &str| out.extension().is_some_and(|own| own.eq_ignore_ascii_case(end));
    if ends("parquet") != is_parquet || ends("gz") {
        let reason = format!(
            "{} is scored into a file of its own kind: CSV into CSV that is not compressed, Parquet into \
             Parquet",
            file.display()
        );
        return Err(Failure::Usage(reason));
    }
    Ok(())
}

/// Writes beside `out` and puts it there when all is written: what lies there stays until then.
fn whole(
    out: &Path,
    write: impl FnOnce(&Path) -> Result<Count, Failure>,
) -> Result<Count, Failure> {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".incoming");
    let partial = out.with_file_name(name);
    let outcome = write(&partial).and_then(|count| {
        std::fs::rename(&partial, out).map(|()| count).map_err(Failure::output(out))
    });
    if outcome.is_err() {
        // Whatever is there is of no use.
        let _ = std::fs::remove_file(&partial);
    }
    outcome
}

/// Where the model's columns stand in the file.
fn places(file: &Path, names: &[&str], wanted: &[&str]) -> Result<Vec<usize>, Failure> {
    let place = |column: &&str| {
        let mut found = names.iter().enumerate().filter(|(_, name)| name.trim() == *column);
        found.next().map(|(index, _)| index).ok_or_else(|| {
            wrong(file, format!("has no column {column}; the model needs {}", wanted.join(", ")))
        })
    };
    wanted.iter().map(place).collect()
}

/// Columns that a prediction reads: factors, then numbers without the response.
fn columns(card: &Card) -> (Vec<&str>, Vec<&str>) {
    let factors = card.design.factors.iter().map(|factor| factor.column.as_str());
    (factors.collect(), card.design.numbers.iter().map(String::as_str).collect())
}

/// Whether a number is read: the response is not, unless it stands in a term too.
fn is_read(card: &Card, name: &str) -> bool {
    let mut terms = card.coefficients.iter().flat_map(|one| &one.numbers);
    let mut features = card.ensemble.iter().flat_map(|ensemble| &ensemble.features);
    let in_term =
        terms.any(|(number, _)| number == name) || features.any(|feature| feature.column == name);
    in_term || card.design.offset.as_ref().is_some_and(|(offset, _)| offset == name)
}

fn text(
    card: &Card,
    predictor: &Predictor,
    file: &Path,
    out: &mut dyn Write,
) -> Result<Count, Failure> {
    let opened = File::open(file).map_err(|error| wrong(file, error))?;
    let is_gzip = file.extension().is_some_and(|end| end.eq_ignore_ascii_case("gz"));
    let reader: Box<dyn Read> = match is_gzip {
        true => Box::new(MultiGzDecoder::new(BufReader::new(opened))),
        false => Box::new(BufReader::new(opened)),
    };
    let mut reader = csv::Reader::from_reader(reader);
    let headers = reader.headers().map_err(|error| wrong(file, error))?.clone();
    let names: Vec<&str> = headers.iter().map(|name| name.trim_start_matches('\u{feff}')).collect();
    if names.contains(&PREDICTED) {
        return Err(wrong(file, format!("already has a column {PREDICTED}")));
    }
    let (factors, numbers) = columns(card);
    let read: Vec<&str> = numbers.iter().copied().filter(|name| is_read(card, name)).collect();
    let mut number_places = places(file, &names, &[&factors[..], &read[..]].concat())?;
    let factor_places: Vec<usize> = number_places.drain(..factors.len()).collect();
    let failed = |error: csv::Error| Failure::Internal(format!("writing predictions: {error}"));
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(names.iter().copied().chain([PREDICTED])).map_err(failed)?;
    let mut count = Count::default();
    for record in reader.records() {
        let record = record.map_err(|error| wrong(file, error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let value = |place: usize| record.get(place).map(str::trim).filter(|text| !text.is_empty());
        let levels: Vec<Option<&str>> = factor_places.iter().map(|place| value(*place)).collect();
        let mut values = vec![f64::NAN; numbers.len()];
        for (name, place) in read.iter().zip(&number_places) {
            let Some(text) = value(*place) else { continue };
            let number: f64 = text.parse().map_err(|_| {
                wrong(file, format!("line {line}, column {name}: \"{text}\" is no number"))
            })?;
            if let Some(index) = numbers.iter().position(|known| known == name) {
                values[index] = number;
            }
        }
        let mean = predictor.mean(&Row { factors: &levels, numbers: &values });
        count.add(mean);
        let mean = mean.map(|mean| mean.to_string()).unwrap_or_default();
        writer.write_record(record.iter().chain([mean.as_str()])).map_err(failed)?;
    }
    writer
        .flush()
        .map_err(|error| Failure::Output { place: "predictions".into(), source: error })?;
    Ok(count)
}

impl Count {
    const fn add(&mut self, mean: Option<f64>) {
        if mean.is_some() { self.scored += 1 } else { self.left += 1 }
    }
}

fn parquet(card: &Card, predictor: &Predictor, file: &Path, out: &Path) -> Result<Count, Failure> {
    let opened = File::open(file).map_err(|error| wrong(file, error))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(opened);
    let builder = builder.map_err(|error| wrong(file, error))?;
    let schema = Arc::clone(builder.schema());
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    if names.contains(&PREDICTED) {
        return Err(wrong(file, format!("already has a column {PREDICTED}")));
    }
    let (factors, numbers) = columns(card);
    let read: Vec<&str> = numbers.iter().copied().filter(|name| is_read(card, name)).collect();
    let mut number_places = places(file, &names, &[&factors[..], &read[..]].concat())?;
    let factor_places: Vec<usize> = number_places.drain(..factors.len()).collect();
    let mut fields = schema.fields().to_vec();
    fields.push(Arc::new(Field::new(PREDICTED, DataType::Float64, true)));
    let wider = Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()));
    let target = File::create(out).map_err(Failure::output(out))?;
    let failed = |error: parquet::errors::ParquetError| Failure::Output {
        place: out.display().to_string(),
        source: std::io::Error::other(error),
    };
    let mut writer = ArrowWriter::try_new(target, Arc::clone(&wider), None).map_err(failed)?;
    let mut count = Count::default();
    for batch in builder.build().map_err(|error| wrong(file, error))? {
        let batch = batch.map_err(|error| wrong(file, error))?;
        let column = |place: usize, to: &DataType| {
            cast(batch.column(place), to)
                .map_err(|error| wrong(file, format!("column {}: {error}", names[place])))
        };
        let texts = factor_places.iter().map(|place| column(*place, &DataType::Utf8));
        let texts: Vec<ArrayRef> = texts.collect::<Result<_, _>>()?;
        let doubles = number_places.iter().map(|place| column(*place, &DataType::Float64));
        let doubles: Vec<ArrayRef> = doubles.collect::<Result<_, _>>()?;
        let mut means = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let level = |array: &ArrayRef| {
                array.is_valid(row).then(|| array.as_string::<i32>().value(row).to_owned())
            };
            let levels: Vec<Option<String>> = texts.iter().map(level).collect();
            let levels: Vec<Option<&str>> = levels.iter().map(Option::as_deref).collect();
            let mut values = vec![f64::NAN; numbers.len()];
            for (name, array) in read.iter().zip(&doubles) {
                let index = numbers.iter().position(|known| known == name);
                if let Some(index) = index.filter(|_| array.is_valid(row)) {
                    values[index] = array.as_primitive::<Float64Type>().value(row);
                }
            }
            let mean = predictor.mean(&Row { factors: &levels, numbers: &values });
            count.add(mean);
            means.push(mean);
        }
        let mut all = batch.columns().to_vec();
        all.push(Arc::new(Float64Array::from(means)));
        let batch = RecordBatch::try_new(Arc::clone(&wider), all)
            .map_err(|error| Failure::Internal(format!("writing predictions: {error}")))?;
        writer.write(&batch).map_err(failed)?;
    }
    writer.close().map_err(failed)?;
    Ok(count)
}
