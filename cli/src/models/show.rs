//! One model, for people and for programs.

use std::fmt::Write as _;

use learn::boost::Ensemble;
use learn::card::Card;

use crate::console::Console;
use crate::exit::Failure;
use crate::message::Message;
use crate::sheet::{Align, Sheet, grouped, number};

/// Codes that a line names before it says how many more there are.
const NAMED: usize = 8;

/// The model card.
///
/// # Errors
/// [`Failure::Internal`].
pub fn json(card: &Card) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(card)
        .map_err(|error| Failure::Internal(format!("the model has no JSON form: {error}")))?;
    Ok(format!("{text}\n"))
}

/// Coefficients, and below them how well the model fits.
#[must_use]
pub fn table(card: &Card, console: Console) -> String {
    let lang = console.lang();
    let condition = match card.condition.is_empty() {
        true => String::new(),
        false => format!("   WHERE {}", card.condition),
    };
    let mut text =
        format!("{}   {}   {}, {}{condition}\n", card.name, card.formula, card.family, card.link);
    text.push_str(&match &card.ensemble {
        None => coefficients(card, console),
        Some(ensemble) => features(ensemble, console),
    });
    text.push('\n');
    let mut line = |message: Message, parts: &[&dyn std::fmt::Display]| {
        let _ = writeln!(text, "{}", crate::message::fill(message, lang, parts));
    };
    let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
    let fit = &card.fit;
    line(
        Message::ModelFit,
        &[
            &grouped(fit.stays),
            &grouped(fit.residual_degrees),
            &number(fit.deviance),
            &optional(fit.null_deviance),
            &number(fit.pearson_dispersion),
        ],
    );
    match &card.ensemble {
        None => line(
            Message::ModelCriteria,
            &[&optional(fit.log_likelihood), &optional(fit.aic), &optional(fit.bic)],
        ),
        Some(ensemble) => line(
            Message::ModelTrees,
            &[
                &ensemble.trees.len(),
                &ensemble.depth,
                &ensemble.learning_rate,
                &ensemble.least_stays,
                &ensemble.penalty,
            ],
        ),
    }
    if let (Some(shape), Some(error)) = (fit.shape, fit.shape_standard_error) {
        line(Message::ModelShape, &[&number(shape), &number(error)]);
    }
    text
}

/// Where the model comes from and what is to be known of it, on stderr.
pub fn note(card: &Card, console: Console) {
    let note = |message: Message, parts: &[&dyn std::fmt::Display]| {
        console.note(console.text(message, parts));
    };
    let from = &card.provenance;
    note(
        Message::ModelProvenance,
        &[
            &from.snapshots.len(),
            &from.rounds.len(),
            &grouped(from.bytes_received),
            &from.elapsed_ms,
        ],
    );
    let left = from.selected_stays.saturating_sub(card.fit.stays);
    let fewest = from.floor.into_iter().max().map_or(1, u64::from);
    if left > 0 {
        // A number that the gate would not tell is not told by a difference either.
        let shown = if left < fewest { format!("< {fewest}") } else { grouped(left) };
        note(Message::ModelLeft, &[&shown, &grouped(from.selected_stays)]);
    }
    for factor in card.design.factors.iter().filter(|factor| !factor.merged.is_empty()) {
        let shown = factor.merged.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = factor.merged.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(" (+{more})") };
        let has_other = factor.levels.iter().any(|level| level == privacy::domain::OTHER);
        let message = if has_other { Message::ModelMerged } else { Message::ModelLeftOut };
        note(message, &[&factor.column, &shown, &more]);
    }
    if card.fit.withheld_pairs > 0 {
        note(Message::ModelApproximate, &[&card.fit.withheld_pairs]);
    }
    for text in &card.notes {
        console.note(text);
    }
    for (hospital, reason) in &from.left_out {
        note(Message::Missing, &[hospital, reason]);
    }
}

/// A coefficient with five decimals, or in powers of ten when that would say nothing.
fn digits(value: f64) -> String {
    let size = value.abs();
    if size <= 0.0 || (1e-3..1e9).contains(&size) {
        format!("{value:.5}")
    } else {
        format!("{value:.3e}")
    }
}

/// What trees are split by, the most useful first.
fn features(ensemble: &Ensemble, console: Console) -> String {
    let lang = console.lang();
    let mut sheet = Sheet::new([
        (Message::Term.text(lang), Align::Left),
        (Message::Bins.text(lang), Align::Right),
        (Message::Gain.text(lang), Align::Right),
    ]);
    let mut all: Vec<_> = ensemble.features.iter().collect();
    all.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    for feature in all {
        let bins = match feature.bins.iter().max() {
            Some(last) => usize::from(*last) + 1,
            None => feature.edges.len() + 1,
        };
        let gain = format!("{:.1} %", 100.0 * feature.gain);
        sheet.row([feature.column.clone(), bins.to_string(), gain]);
    }
    sheet.render()
}

fn coefficients(card: &Card, console: Console) -> String {
    let lang = console.lang();
    let headings = [
        (Message::Term, Align::Left),
        (Message::Estimate, Align::Right),
        (Message::StandardError, Align::Right),
        (Message::RobustError, Align::Right),
        (Message::ClusteredError, Align::Right),
        (Message::ZValue, Align::Right),
        (Message::PValue, Align::Right),
        (Message::Limits, Align::Right),
    ];
    let headings = headings.iter().map(|(message, align)| (message.text(lang), *align));
    let error = |error: Option<f64>| error.map_or_else(|| "-".to_owned(), digits);
    let mut sheet = Sheet::new(headings);
    for one in &card.coefficients {
        let p = if one.p < 0.0001 { "<0.0001".to_owned() } else { format!("{:.4}", one.p) };
        sheet.row([
            one.name.clone(),
            digits(one.estimate),
            digits(one.standard_error),
            error(one.robust_standard_error),
            error(one.clustered_standard_error),
            format!("{:.2}", one.z),
            p,
            format!("{} .. {}", digits(one.lower), digits(one.upper)),
        ]);
    }
    sheet.render()
}
