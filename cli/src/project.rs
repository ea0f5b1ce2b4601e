//! `consilium project`: people, a purpose and a budget that hospitals accept once, in the place of deciding on
//! each question.

mod show;

use clap::{Args, Subcommand, ValueEnum};
use proto::v1::{Project, ProjectReport};

use crate::args::{ListFormat, RegionArgs};
use crate::client::Client;
use crate::exit::Failure;
use crate::noise;
use crate::run::Context;

/// `consilium project`.
#[derive(Debug, Subcommand)]
pub enum ProjectCommand {
    /// Make a project and tell all hospitals' stewards of it
    #[command(after_help = "\
Examples:
  consilium project create readmissions --region demo --purpose \"Readmissions after appendectomy\" \\
      --until 2027-06-30 --member bob --questions 500
  consilium project create costs --region demo --purpose \"Costs by hospital, for the press\" \\
      --until 2027-06-30 --noise=0.05

You become its owner and a member. Hospitals whose stewards accept it (consilium-node approve) answer its
members' questions: consilium query --project readmissions ...")]
    Create(CreateArgs),
    /// Ask a project's owner to become a member
    #[command(after_help = "Example:\n  consilium project join readmissions --region demo")]
    Join(NameArgs),
    /// Take into your project who asked to join; stewards decide on what it is then
    #[command(after_help = "Example:\n  consilium project admit readmissions cy --region demo")]
    Admit(AdmitArgs),
    /// The region's projects
    #[command(after_help = "Example:\n  consilium project list --region demo")]
    List(ListArgs),
    /// One project: what it may ask, which hospitals have accepted it, what it has used
    #[command(after_help = "Example:\n  consilium project show readmissions --region demo")]
    Show(NameArgs),
}

/// Whose cells a project asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScopeName {
    /// Regional sums
    Pooled,
    /// Hospitals' own cells
    PerHospital,
}

/// `consilium project create`.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// What it is called: small letters, digits, - and _
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The region.
    #[command(flatten)]
    pub region: RegionArgs,
    /// What it is for, as stewards will read it
    #[arg(long, value_name = "TEXT")]
    pub purpose: String,
    /// Its last day (UTC)
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    pub until: u32,
    /// Who may ask besides you; may be given several times
    #[arg(long = "member", value_name = "NAME")]
    pub members: Vec<String>,
    /// What it asks for, may be given twice; pooled when absent
    #[arg(long = "scope", value_enum)]
    pub scopes: Vec<ScopeName>,
    /// Answers with noise that cost a hospital at most so much in a year
    #[arg(long, value_name = "RHO", num_args = 0..=1, require_equals = true,
        default_missing_value = "0.1", value_parser = noise::parse)]
    pub noise: Option<u64>,
    /// Most questions that a hospital answers; each round of a fit is one
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub questions: u64,
    /// Form of the report
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// `consilium project join` and `show`.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// The project
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The region.
    #[command(flatten)]
    pub region: RegionArgs,
    /// Form of the report
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// `consilium project admit`.
#[derive(Debug, Args)]
pub struct AdmitArgs {
    /// The project.
    #[command(flatten)]
    pub project: NameArgs,
    /// Who asked to join
    #[arg(value_name = "MEMBER")]
    pub member: String,
    /// Say no
    #[arg(long)]
    pub decline: bool,
}

/// `consilium project list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The region.
    #[command(flatten)]
    pub region: RegionArgs,
    /// Form of the list
    #[arg(long, value_enum, default_value_t)]
    pub format: ListFormat,
}

/// Reads a day of the calendar as the number 20261231.
fn day(text: &str) -> Result<u32, String> {
    let form = time::macros::format_description!("[year]-[month]-[day]");
    let wrong = || format!("\"{text}\" is no day such as 2026-12-31");
    if text.len() != "2026-12-31".len() || time::Date::parse(text, form).is_err() {
        return Err(wrong());
    }
    text.replace('-', "").parse().map_err(|_| wrong())
}

impl CreateArgs {
    fn project(&self) -> Project {
        let asks = |scope| match self.scopes.as_slice() {
            [] => scope == ScopeName::Pooled,
            given => given.contains(&scope),
        };
        Project {
            name: self.name.clone(),
            purpose: self.purpose.clone(),
            members: self.members.clone(),
            pooled: asks(ScopeName::Pooled),
            per_hospital: asks(ScopeName::PerHospital),
            rho_year_micro: self.noise,
            questions: self.questions,
            until: self.until,
            owner: String::new(),
        }
    }
}

/// Runs a command about projects.
///
/// # Errors
/// Every kind of [`Failure`].
pub async fn run(command: &ProjectCommand, context: &Context) -> Result<(), Failure> {
    let open = |region: &RegionArgs| Client::open(&region.region, &context.clock);
    let told = |report: &ProjectReport, format| {
        let text = match format {
            ListFormat::Json => show::json(report),
            ListFormat::Table => show::text(report, context.console),
        };
        context.console.data(|out| out.write_all(text.as_bytes()))
    };
    match command {
        ProjectCommand::Create(args) => {
            let report = open(&args.region)?.create_project(args.project()).await?;
            told(&report, args.format)
        }
        ProjectCommand::Join(args) => {
            told(&open(&args.region)?.join_project(&args.name).await?, args.format)
        }
        ProjectCommand::Admit(AdmitArgs { project, member, decline }) => {
            let client = open(&project.region)?;
            told(&client.admit_member(&project.name, member, *decline).await?, project.format)
        }
        ProjectCommand::List(args) => {
            let projects = open(&args.region)?.projects().await?;
            let text = match args.format {
                ListFormat::Json => show::json_list(&projects),
                ListFormat::Table => show::list(&projects, context.console),
            };
            context.console.data(|out| out.write_all(text.as_bytes()))
        }
        ProjectCommand::Show(args) => {
            told(&open(&args.region)?.show_project(&args.name).await?, args.format)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(day("2028-02-29"), Ok(20_280_229));
        for bad in ["2027-02-29", "2027-2-01", "27-02-01", "tomorrow", "+027-02-01", ""] {
            assert!(day(bad).is_err(), "{bad}");
        }
    }
}
