//! Groups of unlike grouper schemes are neither added up nor compared.

use model::RefusalCode;
use tests::fixture::{self, Stay};
use tests::{HospitalSource, Region};

use super::json;
use crate::client::{consilium, user_folder};

#[tokio::test(flavor = "multi_thread")]
async fn unlike_groupers_are_refused_with_both_names() {
    let folder = tempfile::tempdir().unwrap();
    let old = fixture::mapping_with(folder.path(), "CHS-DRG@1.1");
    let new = fixture::mapping_with(folder.path(), "CHS-DRG@2.0");
    let hospitals = ["h-1", "h-2", "h-3", "h-4", "h-5", "h-6"].into_iter().enumerate();
    let hospitals = hospitals.map(|(index, id)| {
        let source = fixture::write(folder.path(), id, (0..40).map(Stay::plain));
        let mapping = if index < 3 { &old } else { &new };
        let mapping = mapping.clone();
        HospitalSource { mapping, ..HospitalSource::small(id, source) }
    });
    let region = Region::builder().hospitals(hospitals).start().await.unwrap();
    for sql in [
        "SELECT drg_code, count(*) AS n FROM stay GROUP BY 1",
        "SELECT hospital_id, drg_code, count(*) AS n FROM stay GROUP BY 1, 2",
        "SELECT sum(CASE WHEN drg_code = 'DA1' THEN total_cost END) AS c FROM stay",
        "SELECT count(*) AS n FROM stay WHERE drg_code = 'DA1'",
        "SELECT d.n FROM (SELECT mdc_code, count(*) AS n FROM stay GROUP BY 1) AS d",
    ] {
        let refusal = service::status::refusal_of(&region.ask(sql).await.unwrap_err()).unwrap();
        assert_eq!(refusal.code, RefusalCode::Scheme, "{sql}");
        assert!(refusal.reason.contains("\"CHS-DRG@1.1\", \"CHS-DRG@2.0\""), "{refusal}");
    }
    for (sql, rows) in [
        ("SELECT drg_scheme, drg_code, count(*) AS n FROM stay GROUP BY 1, 2 ORDER BY 1", 2),
        ("SELECT drg_code, count(*) AS n FROM stay WHERE drg_scheme = 'CHS-DRG@2.0' GROUP BY 1", 1),
        ("SELECT count(*) AS n FROM stay", 1),
    ] {
        assert_eq!(region.ask(sql).await.unwrap().rows().len(), rows, "{sql}");
    }

    let user = user_folder(&region, folder.path());
    let words = ["benchmark", "drg", "--region", user.to_str().unwrap(), "--format", "json"];
    let refused = consilium(&words).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(77), "{said}");
    assert!(said.contains("CHS-DRG@1.1") && said.contains("--scheme"), "{said}");
    let one = json(&[&words[..], &["--scheme", "CHS-DRG@2.0"]].concat()).await;
    assert_eq!(
        (&one["groups"][0]["stays"], &one["release"]["scheme"]),
        (&120.into(), &"CHS-DRG@2.0".into())
    );
    let unknown = consilium(&[&words[..], &["--scheme", "CHS-DRG@3.0"]].concat()).await;
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert_eq!(unknown.status.code(), Some(65), "{said}");
    assert!(said.contains("CHS-DRG@2.0"), "{said}");
}
