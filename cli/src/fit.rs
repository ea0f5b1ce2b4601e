//! `consilium fit`: a model of the region, fitted without anybody seeing a stay.

use std::time::Duration;

use clap::{Args, ValueEnum};
use model::glm::{Family, Link};
use privacy::growth::{MAX_DEPTH, MAX_TREES};
use proto::v1::{FitRequest, TreeOptions};

use crate::args::{ListFormat, RegionArgs};
use crate::client::Client;
use crate::duration;
use crate::exit::Failure;
use crate::message::Message;
use crate::models::show::{json, note, table};
use crate::run::Context;

/// `consilium fit`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Formulas: a response, ~, and terms joined by +. A term is a column of stay, log(x), sqrt(x), x^2, x^3,
C(x) for a number that stands for groups, C(x, \"level\") to name the reference level, a:b for an
interaction, a*b for a + b + a:b; offset(log(x)) has the coefficient 1.

Examples:
  consilium fit --region demo \"total_cost ~ age_band + sex + severity + drg_code + log(los_days)\" \\
      --family gamma --name cost-2024
  consilium fit --region demo \"died ~ age_band + severity\" --family binomial --firth
  consilium fit --region demo \"los_days ~ drg_code + payer\" --family negative-binomial \\
      --where \"hospital_tier = 'tertiary'\"
  consilium fit --region demo \"total_cost ~ age_band + sex + drg_code + los_days\" --family gamma \\
      --trees 100 --depth 4 --name cost-trees

Each step of a fit is one masked round; what is told is the sum over all hospitals, and only where enough
patients stand behind it.")]
pub struct FitArgs {
    /// What is modelled, and by what
    #[arg(value_name = "FORMULA")]
    pub formula: String,
    /// The region.
    #[command(flatten)]
    pub region: RegionArgs,
    /// How the response is distributed
    #[arg(long, value_enum)]
    pub family: FamilyName,
    /// How its mean hangs on the terms; the family's usual one when absent
    #[arg(long, value_enum)]
    pub link: Option<LinkName>,
    /// Weight of a ridge penalty on all coefficients but the intercept
    #[arg(long, value_name = "L", default_value_t = 0.0)]
    pub ridge: f64,
    /// Firth's correction, for events that are rare in some level
    #[arg(long, conflicts_with = "ridge")]
    pub firth: bool,
    /// Also standard errors clustered by hospital; each hospital tells its own score, where it may
    #[arg(long)]
    pub cluster: bool,
    /// Boosted trees instead of coefficients: how many. --ridge is then the penalty on leaves' values
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_TREES as i64))]
    pub trees: Option<u32>,
    /// Levels of splits of each tree
    #[arg(long, value_name = "D", requires = "trees", default_value_t = 4,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_DEPTH)))]
    pub depth: u32,
    /// What each tree's values are multiplied with
    #[arg(long, value_name = "R", requires = "trees", default_value_t = 0.1)]
    pub learning_rate: f64,
    /// Fewest stays on either side of a split
    #[arg(long, value_name = "N", requires = "trees", default_value_t = 20,
        value_parser = clap::value_parser!(u64).range(1..))]
    pub least_stays: u64,
    /// Only stays for which this holds: SQL, as it stands behind WHERE
    #[arg(long = "where", value_name = "SQL")]
    pub condition: Option<String>,
    /// Column that says how much a stay counts
    #[arg(long, value_name = "COLUMN")]
    pub weights: Option<String>,
    /// What the model is called in the region: small letters, digits, - and _
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Fit as a member of this project; each round is one of its questions
    #[arg(long, value_name = "NAME", env = "CONSILIUM_PROJECT")]
    pub project: Option<String>,
    /// Form of the model on stdout
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
    /// Wait at most so long (30s, 10m)
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub deadline: Option<Duration>,
}

/// A family on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilyName(pub Family);

/// A link on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkName(pub Link);

impl ValueEnum for FamilyName {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [FamilyName; 6] = {
            let [a, b, c, d, e, f] = Family::ALL;
            [
                FamilyName(a),
                FamilyName(b),
                FamilyName(c),
                FamilyName(d),
                FamilyName(e),
                FamilyName(f),
            ]
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.as_str()).help(self.0.range()))
    }
}

impl ValueEnum for LinkName {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [LinkName; 8] = {
            let [a, b, c, d, e, f, g, h] = Link::ALL;
            [
                LinkName(a),
                LinkName(b),
                LinkName(c),
                LinkName(d),
                LinkName(e),
                LinkName(f),
                LinkName(g),
                LinkName(h),
            ]
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.as_str()))
    }
}

/// Fits, and prints the model.
///
/// # Errors
/// Every kind of [`Failure`].
pub async fn run(args: &FitArgs, context: &Context) -> Result<(), Failure> {
    let console = context.console;
    let client = Client::open(&args.region.region, &context.clock)?;
    let request = FitRequest {
        formula: args.formula.clone(),
        family: args.family.0.as_str().to_owned(),
        link: args.link.map(|link| link.0.as_str().to_owned()).unwrap_or_default(),
        condition: args.condition.clone().unwrap_or_default(),
        ridge: args.ridge,
        firth: args.firth,
        weight: args.weights.clone().unwrap_or_default(),
        name: args.name.clone().unwrap_or_default(),
        deadline_ms: 0,
        cluster: args.cluster,
        trees: args.trees.map(|trees| TreeOptions {
            trees,
            depth: args.depth,
            learning_rate: Some(args.learning_rate),
            least_stays: args.least_stays,
        }),
        project: args.project.clone().unwrap_or_default(),
    };
    let bar = match args.trees {
        Some(trees) => console.bar(Message::Growing, Some(trees.into())),
        None => console.bar(Message::Fitting, None),
    };
    let fitting = client.fit(request, args.deadline, |told| {
        if told.restarted.is_empty() {
            let done = if args.trees.is_some() { told.trees } else { told.steps };
            bar.set_position(done.into());
        } else {
            bar.suspend(|| console.note(console.text(Message::BegunAgain, &[&told.restarted])));
        }
    });
    let card = fitting.await;
    bar.finish_and_clear();
    let card = card?;
    let text = match args.format {
        ListFormat::Json => json(&card)?,
        ListFormat::Table => table(&card, console),
    };
    console.data(|out| out.write_all(text.as_bytes()))?;
    note(&card, console);
    Ok(())
}
