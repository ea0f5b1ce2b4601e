use model::casemix::benchmark::{Basis, Benchmark, Best, Bounded, GroupRow, HospitalRow, Share};

use super::html;
use crate::message::Lang;

const MADE: &str = "2024-05-02T08:30:00Z";
const HOSTILE: &str = "<script>alert(\"x\")</script>&'\u{202e}\u{0}";

fn empty() -> Benchmark {
    Benchmark {
        region: "east".into(),
        scheme: "chs-drg@2.0".into(),
        period: String::new(),
        tier: String::new(),
        measure: "cost".into(),
        trim: "none".into(),
        parameters: "national@1".into(),
        hospitals_answered: (3, 4),
        coverage: (None, Some(0.931)),
        withheld: (7, 412),
        groups: Vec::new(),
        hospitals: Vec::new(),
    }
}

fn group(code: &str, mean: Option<f64>) -> GroupRow {
    let at = |factor: f64| mean.map(|mean| Bounded { value: mean * factor, error: 12.5 });
    GroupRow {
        drg_code: code.into(),
        name: Some(("Appendectomy".into(), "阑尾切除术".into())),
        stays: 1_234,
        hospitals: 5,
        mean,
        sd: mean,
        cv: mean.map(|_| 1.0),
        geometric_mean: mean,
        percentiles: [0.5, 0.7, 0.9, 1.2, 1.9].map(at),
        relative_weight: mean.map(|_| 0.8),
        weight_basis: Basis::Own,
        trimmed_stays: None,
        los_mean: mean.map(|_| 6.0),
        los_median: mean.map(|_| Bounded { value: 5.0, error: 0.0 }),
        los_geometric_mean: None,
        death_rate: mean.map(|_| 0.01),
        composition: Vec::new(),
        best: Vec::new(),
    }
}

fn hospital(id: &str, tier: &str, index: Option<f64>) -> HospitalRow {
    HospitalRow {
        hospital_id: id.into(),
        tier: tier.into(),
        stays: 900,
        grouping_rate: Some(0.98),
        cmi: index,
        total_weight: index,
        cost_index: index,
        cost_index_mean_ratio: index,
        time_index: index,
        time_index_mean_ratio: index,
        share_above: index,
        share_below: None,
        alerts: 2,
    }
}

fn marks(page: &str, chart: &str) -> usize {
    let Some((_, drawn)) = page.split_once(&format!("data-chart=\"{chart}\"")) else { return 0 };
    drawn.split("</svg>").next().unwrap().matches("class=\"mark").count()
}

/// Every element that is opened is closed in order, and no attribute or text breaks out.
fn well_formed(page: &str) {
    const VOID: [&str; 3] = ["meta", "br", "!DOCTYPE"];
    let mut open = Vec::new();
    for piece in page.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').expect("a tag ends");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.split([' ', '\n']).next().unwrap();
        match name.strip_prefix('/') {
            Some(closed) => assert_eq!(open.pop(), Some(closed), "{tag}"),
            None if VOID.contains(&name) => {}
            None => open.push(name),
        }
        // Selectors in the styles may hold one.
        assert!(open.last() == Some(&"style") || !text.contains('>'), "{text}");
    }
    assert!(open.is_empty(), "{open:?}");
}

/// What holds for every report.
fn check(benchmark: &Benchmark) -> [String; 2] {
    [Lang::En, Lang::Zh].map(|lang| {
        let page = html(benchmark, lang, MADE);
        well_formed(&page);
        for never in ["NaN", "inf\"", "<script", "http:", "https:", "{}", "\u{202e}", "\u{0}"] {
            assert!(!page.contains(never), "{never:?} in {lang:?}");
        }
        for always in [MADE, "chs-drg@2.0", "93.1 %", "412", "<title>", "default-src 'none'"] {
            assert!(page.contains(always), "{always:?} in {lang:?}");
        }
        let drawings = page.matches("<svg ").count();
        assert_eq!(page.matches("role=\"img\"").count(), drawings);
        assert_eq!(page.matches("</desc>").count(), drawings);
        page
    })
}

#[test]
fn nothing_and_only_withheld_values_are_said_in_words() {
    let [en, zh] = check(&empty());
    assert!(!en.contains("<svg") && !en.contains("<table"));
    assert!(en.contains("No group was released") && zh.contains("没有任何病组获准公布"));
    let mut withheld = empty();
    withheld.groups = vec![group("AB11", None), group("AB13", Some(f64::NAN))];
    withheld.hospitals = vec![hospital("h-1", "tertiary", None), hospital("h-2", "", None)];
    let [en, _] = check(&withheld);
    assert!(!en.contains("<svg") && en.contains("AB11") && en.contains("h-2"));
    assert!(en.contains("<td>–</td>") && en.contains("No hospital has both indices"));
}

#[test]
fn each_group_and_hospital_is_drawn_once_and_stands_in_its_table() {
    let mut made = empty();
    made.groups =
        vec![group("AB11", Some(9_000.0)), group("AB13", None), group("AB15", Some(12_000.0))];
    made.groups[0].composition = vec![
        Share { class: "consumable".into(), share: 0.45 },
        Share { class: "western_drug".into(), share: 0.25 },
        Share { class: "unheard_of".into(), share: 0.1 },
    ];
    made.groups[2].weight_basis = Basis::Adjacent;
    let best = Best { tier: "primary".into(), hospital_id: "h-9".into(), mean: 8_765.0, stays: 40 };
    made.groups[0].best = vec![best];
    made.hospitals = vec![
        hospital("h-1", "tertiary", Some(1.2)),
        hospital("h-2", "secondary", Some(0.9)),
        hospital("h-3", "primary", Some(1.0)),
        hospital("h-4", "", Some(1.1)),
        hospital("h-5", "tertiary", None),
    ];
    let [en, zh] = check(&made);
    assert_eq!((marks(&en, "groups"), marks(&en, "hospitals")), (2, 4));
    // Three classes and the remainder; drugs are not known, as one class was not released.
    assert_eq!(marks(&en, "composition"), 4);
    for text in
        ["AB11", "AB13", "AB15", "h-1", "h-5", "45.0 %", "8,765", "0.80<span class=\"dagger\">†"]
    {
        assert!(en.contains(text) && zh.contains(text), "{text}");
    }
    assert!(en.contains("10,500") && en.contains("± 13") && en.contains("Appendectomy"));
    assert!(zh.contains("阑尾切除术") && !zh.contains("Appendectomy") && zh.contains("耗材"));
    assert!(en.contains("† The group") && zh.contains("lang=\"zh-CN\""));
}

#[test]
fn hostile_names_stay_text() {
    let mut hostile = empty();
    hostile.region = HOSTILE.into();
    hostile.measure = HOSTILE.into();
    let long = HOSTILE.repeat(8);
    hostile.groups = vec![group(&long, Some(1.0)), group(HOSTILE, Some(f64::INFINITY))];
    hostile.groups[0].name = Some((long.clone(), HOSTILE.into()));
    hostile.groups[0].composition = vec![
        Share { class: long.clone(), share: 0.5 },
        Share { class: "bed".into(), share: f64::NAN },
        Share { class: "other".into(), share: -1.0 },
    ];
    hostile.hospitals = vec![
        hospital(&long, HOSTILE, Some(1.0)),
        hospital(HOSTILE, "tertiary", Some(f64::MAX)),
        hospital("h", "primary", Some(-5.0)),
    ];
    let [en, _] = check(&hostile);
    assert!(en.contains("&lt;script&gt;alert(&quot;x&quot;)"));
    // Names as long as these are told apart by number.
    assert!(en.contains("Numbers are those") && en.contains("<span class=\"no\">3</span>h</th>"));
    assert_eq!(
        (marks(&en, "groups"), marks(&en, "hospitals"), marks(&en, "composition")),
        (1, 2, 2)
    );
}

#[test]
fn equal_values_and_a_large_region_are_drawn() {
    let mut equal = empty();
    equal.groups = vec![group("AB11", Some(5.0))];
    equal.groups[0].percentiles = [Some(Bounded { value: 5.0, error: 0.0 }); 5];
    equal.hospitals = vec![hospital("h", "primary", Some(1.0)); 3];
    let [en, _] = check(&equal);
    assert_eq!((marks(&en, "groups"), marks(&en, "hospitals")), (1, 3));

    let mut large = empty();
    large.trim = "iqr".into();
    large.groups = (0..800).map(|n| group(&format!("G{n:03}"), Some(f64::from(n)))).collect();
    for group in &mut large.groups {
        let shares = (0..15).map(|_| Share { class: "bed".into(), share: 1.0 / 15.0 });
        group.composition = shares.collect();
        let best = ["tertiary", "secondary", "primary"].map(|tier| Best {
            tier: tier.into(),
            hospital_id: "hospital-with-a-name".into(),
            mean: 1.0,
            stays: 11,
        });
        group.best = best.into();
    }
    large.hospitals = (0..300)
        .map(|n| hospital(&format!("h-{n}"), "primary", Some(1.0 + f64::from(n) / 1e3)))
        .collect();
    let [en, zh] = check(&large);
    assert!(en.len() < 3_000_000 && zh.len() < 3_000_000, "{} bytes", en.len());
    assert_eq!(
        (marks(&en, "groups"), marks(&en, "hospitals"), marks(&en, "composition")),
        (30, 300, 20)
    );
    assert!((0..800).all(|n| en.contains(&format!("G{n:03}"))));
}
