use super::*;

const NOW: (&str, u32) = ("2026-11-23T08:00:00Z", 20_261_123);

fn wire(name: &str) -> v1::Project {
    v1::Project {
        name: name.to_owned(),
        purpose: "费用比较".to_owned(),
        members: vec!["bob".to_owned()],
        pooled: true,
        per_hospital: false,
        rho_year_micro: None,
        questions: 10,
        until: 20_261_231,
        owner: String::new(),
    }
}

fn reason<T: std::fmt::Debug>(outcome: Result<T, ProjectError>) -> String {
    outcome.unwrap_err().to_string()
}

#[test]
fn a_project_is_kept_and_its_name_is_not_taken_twice() {
    let folder = tempfile::tempdir().unwrap();
    let projects = Projects::of(folder.path());
    assert!(projects.list().is_empty());
    let made = projects.create("ana", wire("costs"), NOW).unwrap();
    let again = Projects::of(folder.path());
    assert_eq!(again.get("costs").unwrap(), made);
    assert!(reason(again.create("bob", wire("costs"), NOW)).contains("not replaced"));
    let forged = v1::Project { owner: "bob".to_owned(), ..wire("forged") };
    assert_eq!(again.create("ana", forged, NOW).unwrap().versions[0].owner, "ana");
    fs::remove_file(folder.path().join("projects/forged.json")).unwrap();
    let late = v1::Project { until: 20_261_122, ..wire("late") };
    assert!(reason(again.create("ana", late, NOW)).contains("over already"));
    for bad in ["", "../costs", "Costs", "a b"] {
        assert!(reason(again.get(bad)).contains("no project"), "{bad}");
        assert!(reason(again.create("ana", wire(bad), NOW)).contains("small letters"), "{bad}");
    }
    let [listed] = &again.list()[..] else { panic!("one project") };
    assert_eq!(listed.project.as_ref().unwrap().members, ["ana", "bob"], "with its owner");
    fs::write(folder.path().join("projects/costs.json"), b"{").unwrap();
    assert!(reason(again.get("costs")).contains("costs.json"));
    assert!(again.list().is_empty(), "what cannot be read is not listed");
}

#[test]
fn who_joins_asks_under_a_new_version_and_takes_the_old_one_from_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let projects = Projects::of(folder.path());
    projects.create("ana", wire("costs"), NOW).unwrap();
    let first = projects.of_member("costs", "bob").unwrap();
    assert!(reason(projects.of_member("costs", "cy")).contains("no member"));
    let order = |member: &str, decline| v1::AdmitRequest {
        name: "costs".to_owned(),
        member: member.to_owned(),
        decline,
    };
    assert!(reason(projects.admit("ana", &order("cy", false))).contains("Nobody"));
    projects.join("costs", "cy").unwrap();
    projects.join("costs", "dee").unwrap();
    assert_eq!(projects.join("costs", "bob").unwrap().asking.len(), 2, "a member already");
    for other in ["bob", "cy"] {
        let outcome = projects.admit(other, &order("cy", false));
        assert!(reason(outcome).contains("owner"), "{other} is not the owner");
    }
    projects.admit("ana", &order("cy", false)).unwrap();
    projects.admit("ana", &order("dee", true)).unwrap();
    assert!(projects.of_member("costs", "dee").is_err());
    let second = projects.of_member("costs", "cy").unwrap();
    assert_ne!(first.hash(), second.hash());
    for old in ["ana", "bob"] {
        assert_eq!(projects.of_member("costs", old).unwrap(), first, "{old}");
    }
}
