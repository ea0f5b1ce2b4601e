//! Projects, for people and for programs.

use model::text::printable;
use privacy::noise::MICRO;
use privacy::project::day_text;
use proto::v1::{Project, ProjectAt, ProjectReport, ProjectState, ProjectSummary, ProjectVersion};
use serde_json::{Value, json};

use crate::console::Console;
use crate::message::Message;
use crate::sheet::{Align, Sheet, grouped};

/// Millionths of ρ as a number.
fn rho(micro: u64) -> String {
    let text = format!("{}.{:06}", micro / MICRO, micro % MICRO);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

const fn state_name(state: ProjectState) -> &'static str {
    match state {
        ProjectState::Unspecified => "unknown",
        ProjectState::Waiting => "waiting",
        ProjectState::Accepted => "accepted",
        ProjectState::Declined => "declined",
        ProjectState::Open => "open",
        ProjectState::Closed => "closed",
        ProjectState::Over => "over",
    }
}

const fn state_message(state: ProjectState) -> Message {
    match state {
        ProjectState::Unspecified => Message::StateUnknown,
        ProjectState::Waiting => Message::StateWaiting,
        ProjectState::Accepted => Message::StateAccepted,
        ProjectState::Declined => Message::StateDeclined,
        ProjectState::Open => Message::StateOpen,
        ProjectState::Closed => Message::StateClosed,
        ProjectState::Over => Message::StateOver,
    }
}

fn definition(project: &Project) -> Value {
    let scopes = [("pooled", project.pooled), ("per_hospital", project.per_hospital)];
    let scopes = scopes.iter().filter(|(_, asked)| *asked).map(|(name, _)| *name);
    json!({
        "name": project.name,
        "purpose": project.purpose,
        "members": project.members,
        "scopes": scopes.collect::<Vec<_>>(),
        "mode": if project.rho_year_micro.is_some() { "noise" } else { "exact" },
        "rho_year_micro": project.rho_year_micro,
        "questions": project.questions,
        "until": day_text(project.until),
    })
}

pub(super) fn json(report: &ProjectReport) -> String {
    let hospital = |at: &ProjectAt| {
        let considered = at.considered.as_ref();
        json!({
            "hospital": at.hospital,
            "state": considered.map(|one| state_name(one.state())),
            "questions": considered.map(|one| one.questions),
            "rho_year_micro": considered.map(|one| one.rho_year_micro),
            "reason": Some(&at.reason).filter(|reason| !reason.is_empty()),
        })
    };
    let version = |version: &ProjectVersion| {
        json!({
            "id": version.id,
            "project": version.project.as_ref().map(definition),
            "hospitals": version.hospitals.iter().map(hospital).collect::<Vec<_>>(),
        })
    };
    let value = json!({
        "owner": report.owner,
        "created_at": report.created_at,
        "versions": report.versions.iter().map(version).collect::<Vec<_>>(),
        "asking": report.asking,
    });
    format!("{value:#}\n")
}

fn answers(project: &Project, console: Console) -> String {
    let scopes =
        [(project.pooled, Message::ScopePooled), (project.per_hospital, Message::ScopePerHospital)];
    let scopes = scopes.into_iter().filter(|(asked, _)| *asked);
    let scopes: Vec<_> = scopes.map(|(_, message)| console.text(message, &[])).collect();
    let scopes = scopes.join(", ");
    match project.rho_year_micro {
        None => console.text(Message::ProjectExact, &[&scopes]),
        Some(micro) => console.text(Message::ProjectNoisy, &[&scopes, &rho(micro)]),
    }
}

pub(super) fn text(report: &ProjectReport, console: Console) -> String {
    let mut text = String::new();
    let mut line = |content: String| text.push_str(&format!("{content}\n"));
    let newest = report.versions.last().and_then(|version| version.project.as_ref());
    if let Some(project) = newest {
        let parts: [&dyn std::fmt::Display; 3] =
            [&project.name, &printable(&report.owner), &printable(&report.created_at)];
        line(console.text(Message::ProjectHead, &parts));
        line(console.text(Message::ProjectPurpose, &[&printable(&project.purpose)]));
        line(answers(project, console));
        let until = day_text(project.until);
        line(console.text(Message::ProjectBudget, &[&grouped(project.questions), &until]));
    }
    for version in &report.versions {
        let members =
            version.project.as_ref().map(|project| printable(&project.members.join(", ")));
        line(String::new());
        line(console.text(Message::ProjectVersion, &[&version.id, &members.unwrap_or_default()]));
        line(sheet(&version.hospitals, console));
    }
    if !report.asking.is_empty() {
        line(console.text(Message::ProjectAsking, &[&printable(&report.asking.join(", "))]));
    }
    text
}

fn sheet(hospitals: &[ProjectAt], console: Console) -> String {
    let headings = [
        (Message::Hospital, Align::Left),
        (Message::State, Align::Left),
        (Message::QuestionsUsed, Align::Right),
        (Message::RhoUsed, Align::Right),
    ];
    let headings = headings.map(|(message, align)| (message.text(console.lang()), align));
    let mut sheet = Sheet::new(headings);
    for at in hospitals {
        let considered = at.considered.as_ref();
        sheet.row([
            at.hospital.clone(),
            considered.map_or_else(
                || at.reason.clone(),
                |one| console.text(state_message(one.state()), &[]),
            ),
            considered.map(|one| grouped(one.questions)).unwrap_or_default(),
            considered.map(|one| rho(one.rho_year_micro)).unwrap_or_default(),
        ]);
    }
    sheet.render().to_string()
}

pub(super) fn json_list(projects: &[ProjectSummary]) -> String {
    let one = |summary: &ProjectSummary| {
        let mut value = summary.project.as_ref().map(definition).unwrap_or_default();
        value["owner"] = json!(summary.owner);
        value
    };
    format!("{:#}\n", json!({ "projects": projects.iter().map(one).collect::<Vec<_>>() }))
}

pub(super) fn list(projects: &[ProjectSummary], console: Console) -> String {
    if projects.is_empty() {
        return format!("{}\n", console.text(Message::NoProjects, &[]));
    }
    let headings = [
        (Message::Project, Align::Left),
        (Message::MadeBy, Align::Left),
        (Message::LastDay, Align::Left),
        (Message::Members, Align::Left),
        (Message::Purpose, Align::Left),
    ];
    let headings = headings.map(|(message, align)| (message.text(console.lang()), align));
    let mut sheet = Sheet::new(headings);
    for summary in projects {
        let project = summary.project.clone().unwrap_or_default();
        sheet.row([
            project.name,
            summary.owner.clone(),
            day_text(project.until),
            project.members.join(", "),
            project.purpose,
        ]);
    }
    format!("{}\n", sheet.render())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Lang;
    use proto::v1::Considered;

    fn report() -> ProjectReport {
        let project = Project {
            name: "costs".to_owned(),
            purpose: "Costs".to_owned(),
            members: vec!["ana".to_owned(), "bob".to_owned()],
            pooled: false,
            per_hospital: true,
            rho_year_micro: Some(50_000),
            questions: 1_000,
            until: 20_270_630,
            owner: "ana".to_owned(),
        };
        let heard = Considered {
            state: ProjectState::Accepted.into(),
            questions: 12,
            rho_year_micro: 5_000,
        };
        let at = |hospital: &str, considered, reason: &str| ProjectAt {
            hospital: hospital.to_owned(),
            considered,
            reason: reason.to_owned(),
        };
        ProjectReport {
            owner: "ana".to_owned(),
            created_at: "2026-11-23T08:00:00Z".to_owned(),
            versions: vec![ProjectVersion {
                project: Some(project),
                id: "0123".to_owned(),
                hospitals: vec![at("h-1", Some(heard), ""), at("h-2", None, "unreachable")],
            }],
            asking: vec!["cy".to_owned()],
        }
    }

    #[test]
    fn a_report_says_what_was_accepted_and_used() {
        let text = text(&report(), Console::new(Lang::En, true));
        for part in
            ["costs", "accepted", "0.005", "0.05", "unreachable", "2027-06-30", "ana, bob", "cy"]
        {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        let value: Value = serde_json::from_str(&json(&report())).unwrap();
        assert_eq!(value["versions"][0]["project"]["scopes"], json!(["per_hospital"]));
        assert_eq!(value["versions"][0]["hospitals"][0]["questions"], 12);
        assert_eq!(value["versions"][0]["hospitals"][1]["state"], Value::Null);
    }

    #[test]
    fn costs_are_written_without_needless_zeros() {
        for (micro, text) in [(0, "0"), (5_000, "0.005"), (MICRO, "1"), (1_500_000, "1.5")] {
            assert_eq!(rho(micro), text);
        }
    }
}
