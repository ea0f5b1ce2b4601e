use model::RefusalCode;

use super::*;
use crate::domain::Domain;
use crate::policy::{Allow, Policy};
use crate::request::RequestParts;
use crate::{Leave, admit};

/// Makes other parts of them.
type Change = fn(&mut ProjectParts);

const TODAY: u32 = 20_261_123;

fn parts() -> ProjectParts {
    ProjectParts {
        name: "costs".to_owned(),
        purpose: "Costs of appendectomy".to_owned(),
        owner: "ana".to_owned(),
        members: ["ana", "bob"].map(str::to_owned).into(),
        pooled: false,
        per_hospital: true,
        mode: Mode::Exact,
        questions: 100,
        until: 20_261_231,
    }
}

fn project(parts: ProjectParts) -> Project {
    Project::try_from(parts).unwrap()
}

fn asks(asker: &str, scope: Scope) -> ReleaseRequest {
    let pooled = scope == Scope::Pooled;
    ReleaseRequest::try_from(RequestParts {
        scope,
        asker: asker.to_owned(),
        relation_sql: "SELECT a".to_owned(),
        dimensions: vec!["sex".to_owned()],
        domains: if pooled {
            vec![Domain::closed(vec!["F".to_owned()]).unwrap()]
        } else {
            Vec::new()
        },
        inputs: Vec::new(),
        measures: Vec::new(),
        supports: Vec::new(),
    })
    .unwrap()
}

/// What `asker` is told under a project of these parts, accepted or not, by this policy.
fn told(
    parts: ProjectParts,
    asker: &str,
    policy: &Policy,
    (accepted, today): (Option<bool>, u32),
) -> Option<RefusalCode> {
    let request = asks(asker, Scope::PerHospital).within(Some(project(parts)));
    admit(request, policy, Leave::Project { accepted, today }).err().map(|refusal| refusal.code)
}

#[test]
fn the_steward_accepts_all_of_it() {
    let own = project(parts()).hash();
    let changes: [Change; 11] = [
        |p| p.name.push('2'),
        |p| p.purpose.push('!'),
        |p| p.owner.push('2'),
        |p| assert!(p.members.insert("cy".to_owned())),
        |p| assert!(p.members.remove("bob")),
        |p| p.pooled = true,
        |p| (p.pooled, p.per_hospital) = (true, false),
        |p| p.mode = Mode::Noise { rho_year_micro: 1 },
        |p| p.mode = Mode::Noise { rho_year_micro: 2 },
        |p| p.questions += 1,
        |p| p.until = 20_270_101,
    ];
    let hashes = changes.map(|change| {
        let mut other = parts();
        change(&mut other);
        project(other).hash()
    });
    let all: BTreeSet<_> = hashes.into_iter().chain([own]).collect();
    assert_eq!(all.len(), changes.len() + 1);
    assert_eq!(project(parts()).hash(), own);
}

#[test]
fn what_is_malformed_is_refused_with_its_field() {
    let changes: [(&str, Change); 21] = [
        ("name", |p| p.name.clear()),
        ("name", |p| p.name = "Costs".to_owned()),
        ("name", |p| p.name = "x".repeat(65)),
        ("purpose", |p| p.purpose = "  ".to_owned()),
        ("purpose", |p| p.purpose = "x".repeat(501)),
        // What turns the direction of writing, or moves a terminal's cursor, could hide a member.
        ("purpose", |p| p.purpose = "costs\u{202e}".to_owned()),
        ("purpose", |p| p.purpose = "costs\nmembers: none".to_owned()),
        ("purpose", |p| p.purpose = "\u{1b}[2Kcosts".to_owned()),
        ("members", |p| p.members.clear()),
        ("members", |p| assert!(p.members.insert("a\u{200b}na".to_owned()))),
        ("members", |p| p.members.extend((0..64).map(|n| n.to_string()))),
        ("scopes", |p| p.per_hospital = false),
        ("questions", |p| p.questions = 0),
        ("questions", |p| p.questions = u64::MAX),
        ("noise", |p| p.mode = Mode::Noise { rho_year_micro: 0 }),
        ("until", |p| p.until = 0),
        ("until", |p| p.until = 20_270_229),
        ("purpose", |p| p.purpose = "costs        members: none".to_owned()),
        ("members", |p| p.owner.clear()),
        ("members", |p| assert!(p.members.insert("ana, bob".to_owned()))),
        ("until", |p| p.until = 20_261_301),
    ];
    let expected = parts();
    assert_eq!(project(parts()).parts(), &expected);
    for (subject, change) in changes {
        let mut bad = parts();
        change(&mut bad);
        let refusal = Project::try_from(bad).unwrap_err();
        assert_eq!((refusal.code, refusal.subject.as_str()), (RefusalCode::Project, subject));
    }
}

#[test]
fn an_accepted_project_is_a_leave_for_its_own_questions_only() {
    let ask = Policy::default();
    let accepted = (Some(true), TODAY);
    assert_eq!(told(parts(), "ana", &ask, accepted), None);
    assert_eq!(told(parts(), "ana", &ask, (Some(true), 20_261_231)), None, "the last day counts");
    for (code, asker, state) in [
        (RefusalCode::Project, "cy", accepted),
        (RefusalCode::Project, "ana", (Some(true), 20_270_101)),
        (RefusalCode::Waiting, "ana", (None, TODAY)),
        (RefusalCode::Declined, "ana", (Some(false), TODAY)),
    ] {
        assert_eq!(told(parts(), asker, &ask, state), Some(code), "{asker} {state:?}");
    }
    let regional = ProjectParts { pooled: true, per_hospital: false, ..parts() };
    assert_eq!(told(regional, "ana", &ask, accepted), Some(RefusalCode::Project));
    let noisy = ProjectParts { mode: Mode::Noise { rho_year_micro: 9 }, ..parts() };
    assert_eq!(told(noisy, "ana", &ask, accepted), Some(RefusalCode::Project), "no exact answers");
    // Who names a project without the node's word on it has no leave.
    let request = asks("ana", Scope::PerHospital).within(Some(project(parts())));
    for leave in [Leave::None, Leave::Approved(request.question())] {
        let refusal = admit(request.clone(), &ask, leave).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::Waiting, "{leave:?}");
    }
    // Nor does a project answer what the steward has declined.
    let refusal = admit(request, &ask, Leave::Declined).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::Declined);
}

#[test]
fn what_a_pack_answers_is_not_the_projects_affair() {
    let request = asks("cy", Scope::PerHospital).within(Some(project(parts())));
    let policy = Policy::default();
    let of_pack = admit(request, &policy, Leave::Pack([7; 32])).unwrap();
    assert!(of_pack.project().is_none(), "nor does it pay");
    let accepted = Leave::Project { accepted: Some(true), today: TODAY };
    let request = asks("ana", Scope::PerHospital).within(Some(project(parts())));
    assert!(admit(request.clone(), &policy, accepted).unwrap().project().is_some());
    let mut strange = Policy::default();
    strange.questions.packs.clear();
    let refusal = admit(request, &strange, Leave::Pack([7; 32])).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::Waiting);
}

#[test]
fn only_a_coordinator_s_search_for_codes_needs_no_member() {
    let search = |asker: &str| {
        ReleaseRequest::try_from(RequestParts {
            scope: Scope::Pooled,
            asker: asker.to_owned(),
            relation_sql: "SELECT a".to_owned(),
            dimensions: vec!["code".to_owned()],
            domains: vec![Domain::Buckets { bits: 10, level: 0, salt: [0; 32] }],
            inputs: Vec::new(),
            measures: Vec::new(),
            supports: Vec::new(),
        })
        .unwrap()
    };
    let regional = project(ProjectParts { pooled: true, per_hospital: false, ..parts() });
    assert!(regional.covers(&search(CODE_LISTS), TODAY).is_ok());
    assert!(regional.covers(&search("cy"), TODAY).is_err());
    assert!(project(parts()).covers(&search(CODE_LISTS), TODAY).is_err(), "no regional sums");
}

#[test]
fn a_project_opens_no_hospital_that_answers_packs_only_and_closes_none_that_asks_nobody() {
    let mut policy = Policy::default();
    policy.questions.allow = Allow::Packs;
    assert_eq!(told(parts(), "ana", &policy, (Some(true), TODAY)), Some(RefusalCode::Pack));
    let any = Policy::answering();
    assert_eq!(told(parts(), "ana", &any, (None, TODAY)), None);
    assert_eq!(told(parts(), "ana", &any, (Some(false), TODAY)), Some(RefusalCode::Declined));
    assert_eq!(told(parts(), "cy", &any, (None, TODAY)), Some(RefusalCode::Project));
}

#[test]
fn other_rules_stay_rules() {
    let accepted = (Some(true), TODAY);
    let mut policy = Policy::default();
    policy.scopes.per_hospital = false;
    assert_eq!(told(parts(), "ana", &policy, accepted), Some(RefusalCode::Scope));
    policy = Policy::default();
    policy.minimum.persons = None;
    assert_eq!(told(parts(), "ana", &policy, accepted), Some(RefusalCode::PolicyUnset));
}

#[test]
fn the_steward_reads_all_of_it() {
    let noisy = ProjectParts { mode: Mode::Noise { rho_year_micro: 1_050_000 }, ..parts() };
    let text =
        |parts| project(parts).terms().map(|(label, text)| format!("{label}: {text}")).join("\n");
    assert_eq!(
        text(parts()),
        "owner: ana\nmembers: ana, bob\nanswers: hospitals' own cells, exact: any question about any \
         patients, models, trees and searches for codes\nquestions: at most 100\nuntil: 2026-12-31\n\
         purpose: Costs of appendectomy"
    );
    assert!(text(noisy.clone()).ends_with("Costs of appendectomy"));
    assert!(text(noisy.clone()).contains("at most 1.050000 of rho a year\n"));
    let regional = text(ProjectParts { pooled: true, ..noisy });
    assert!(regional.contains("a year; which codes enough patients have is told exactly\n"));
}
