//! `consilium query`: one question, one answer.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use proto::v1::Explanation;
use serde_json::json;

use crate::args::{Format, QueryArgs};
use crate::client::Client;
use crate::console::Console;
use crate::exit::Failure;
use crate::message::Message;
use crate::run::Context;

/// A longer text is no question.
const SQL_MAX_BYTES: u64 = 1 << 20;

/// Asks, and writes the answer.
///
/// # Errors
/// Every kind of [`Failure`].
pub async fn run(args: &QueryArgs, context: &Context) -> Result<(), Failure> {
    let console = context.console;
    let sql = question(args)?;
    if args.explain {
        if !matches!(args.format, Format::Table | Format::Json) {
            let reason = "--explain is written as table or json";
            return Err(Failure::Usage(reason.to_owned()));
        }
        let client = Client::open(&args.region.region, &context.clock)?;
        let explanation = client.explain(&sql, (args.noise, args.project.as_deref())).await?;
        let text = match args.format {
            Format::Json => explained_json(&explanation),
            _ => explained_text(&explanation, console),
        };
        return match &args.out {
            Some(path) => std::fs::write(path, text).map_err(Failure::output(path)),
            None => console.data(|out| out.write_all(text.as_bytes())),
        };
    }
    refuse_binary_on_terminal(args.format, args.out.as_deref(), console)?;
    let client = Client::open(&args.region.region, &context.clock)?;
    let bar = console.bar(Message::Asking, Some(0));
    let answer = client
        .ask_so(&sql, (args.noise, args.project.as_deref()), args.deadline, |told| {
            bar.set_length(u64::from(told.asked));
            bar.set_position(u64::from(told.answered + told.failed));
        })
        .await;
    bar.finish_and_clear();
    let answer = answer?;
    answer.deliver(args.format, args.out.as_deref(), console)?;
    console.note(answer.release.summary(console));
    Ok(())
}

/// Binary forms go to a file or a pipe.
///
/// # Errors
/// [`Failure::Usage`].
pub(crate) fn refuse_binary_on_terminal(
    format: Format,
    out: Option<&Path>,
    console: Console,
) -> Result<(), Failure> {
    if format.is_text() || out.is_some() || !console.shows_stdout() {
        return Ok(());
    }
    let reason = "a terminal cannot show this format; add --out FILE or send stdout to a file";
    Err(Failure::Usage(reason.to_owned()))
}

fn question(args: &QueryArgs) -> Result<String, Failure> {
    let sql = match (&args.file, args.sql.as_deref()) {
        (Some(path), _) => {
            let file = File::open(path).map_err(|error| {
                Failure::Data(format!("cannot read {}: {error}", path.display()))
            })?;
            read_sql(file, &path.display().to_string())?
        }
        (None, Some("-")) => read_sql(io::stdin().lock(), "stdin")?,
        (None, Some(sql)) => sql.to_owned(),
        (None, None) => return Err(Failure::Usage("no question was given".to_owned())),
    };
    if sql.trim().is_empty() {
        return Err(Failure::Data("the question is empty".to_owned()));
    }
    Ok(sql)
}

fn read_sql(from: impl Read, place: &str) -> Result<String, Failure> {
    let mut sql = String::new();
    let read = from.take(SQL_MAX_BYTES + 1).read_to_string(&mut sql);
    let length = read.map_err(|error| Failure::Data(format!("cannot read {place}: {error}")))?;
    if u64::try_from(length).unwrap_or(u64::MAX) > SQL_MAX_BYTES {
        let reason = format!("{place} is longer than {SQL_MAX_BYTES} bytes; is it a question?");
        return Err(Failure::Data(reason));
    }
    Ok(sql)
}

fn explained_json(explanation: &Explanation) -> String {
    let requests: Vec<_> = explanation
        .requests
        .iter()
        .map(|request| {
            json!({
                "relation_sql": request.relation_sql,
                "dimensions": request.dimensions,
                "measures": request.measures,
                "selective": request.selective,
            })
        })
        .collect();
    let value = json!({
        "scope": explanation.scope,
        "rounds": explanation.rounds,
        "hospitals": explanation.hospitals,
        "estimated_bytes": explanation.estimated_bytes,
        "requests": requests,
        "rules": explanation.rules,
        "above": explanation.above,
    });
    format!("{value:#}\n")
}

fn explained_text(explanation: &Explanation, console: Console) -> String {
    let mut text = String::new();
    let mut line = |indent: usize, content: &str| {
        for part in content.lines() {
            text.push_str(&" ".repeat(indent));
            text.push_str(part.trim_end());
            text.push('\n');
        }
    };
    let heading = |message| format!("{}:", console.text(message, &[]));
    let all = explanation.requests.len();
    for (position, request) in explanation.requests.iter().enumerate() {
        let parts: [&dyn std::fmt::Display; 3] = [&(position + 1), &all, &explanation.hospitals];
        line(0, &console.text(Message::ExplainRequest, &parts));
        line(2, &heading(Message::ExplainRelation));
        line(4, &request.relation_sql);
        line(2, &heading(Message::ExplainDimensions));
        if request.dimensions.is_empty() {
            line(4, &console.text(Message::ExplainWhole, &[]));
        }
        request.dimensions.iter().for_each(|dimension| line(4, dimension));
        line(2, &heading(Message::ExplainMeasures));
        request.measures.iter().for_each(|measure| line(4, measure));
        if request.selective {
            line(2, &console.text(Message::ExplainSelective, &[]));
        }
    }
    line(0, &heading(Message::ExplainRules));
    explanation.rules.iter().for_each(|rule| line(2, &format!("- {rule}")));
    line(0, &heading(Message::ExplainAbove));
    line(2, &explanation.above);
    let scope = match explanation.scope.as_str() {
        "pooled" => console.text(Message::ScopePooled, &[]),
        "per_hospital" => console.text(Message::ScopePerHospital, &[]),
        other => other.to_owned(),
    };
    line(
        0,
        &match explanation.estimated_bytes {
            Some(bytes) => {
                console.text(Message::ExplainCost, &[&scope, &explanation.rounds, &bytes])
            }
            None => console.text(Message::ExplainCostOpen, &[&scope, &explanation.rounds]),
        },
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Lang;
    use proto::v1::ExplainedRequest;

    #[test]
    fn an_explanation_reads_from_top_to_bottom() {
        let explanation = Explanation {
            requests: vec![ExplainedRequest {
                relation_sql: "SELECT drg_code\nFROM stay".to_owned(),
                dimensions: vec!["drg_code".to_owned()],
                measures: vec!["stays".to_owned()],
                selective: true,
            }],
            scope: "pooled".to_owned(),
            rules: vec!["at least 11 persons".to_owned()],
            rounds: 1,
            hospitals: 3,
            estimated_bytes: Some(640),
            above: "Sort: stays".to_owned(),
        };
        assert_eq!(
            explained_text(&explanation, Console::new(Lang::En, true)),
            "Request 1 of 1, to each of 3 hospitals\n  \
             Rows looked at, inside the hospital:\n    SELECT drg_code\n    FROM stay\n  \
             One cell for each:\n    drg_code\n  Each cell holds:\n    stays\n  \
             Filtered or joined: the hospital's selectivity floor applies\n\
             Rules that apply:\n  - at least 11 persons\n\
             At the coordinator, on released values:\n  Sort: stays\n\
             Scope pooled, 1 rounds, at most 640 bytes from each hospital\n"
        );
        let value: serde_json::Value = serde_json::from_str(&explained_json(&explanation)).unwrap();
        assert_eq!(value["requests"][0]["selective"], true);
    }

    #[test]
    fn a_question_is_bounded_and_not_empty() {
        assert_eq!(read_sql("SELECT 1".as_bytes(), "f").unwrap(), "SELECT 1");
        let long = vec![b' '; usize::try_from(SQL_MAX_BYTES).unwrap() + 1];
        assert_eq!(read_sql(long.as_slice(), "f").unwrap_err().code(), 65);
        assert_eq!(read_sql([0xff].as_slice(), "f").unwrap_err().code(), 65);
    }
}
