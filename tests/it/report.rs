//! The report in a real browser: without a network every mark is drawn, no text covers another,
//! and it prints.

mod funnel;
mod specimen;

use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use cli::message::Lang;
use serde_json::Value;
use tests::wait;

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const MADE: &str = "2024-05-02T08:30:00Z";
const WINDOW: (u32, u32) = (1280, 2400);
/// Every name fails to resolve, and what needs none ends at a proxy that is not there.
const OFFLINE: [&str; 2] =
    ["--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=http://127.0.0.1:1"];
/// The policy without which the measuring script may run, in a copy of the report.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
/// Measures what is on the page, as only a browser can.
const MEASURE: &str = r"<script>
const near = 4, found = { wide: document.documentElement.scrollWidth > innerWidth,
  fetched: performance.getEntriesByType('resource').length, rows: {}, charts: {} };
for (const table of document.querySelectorAll('table'))
  found.rows[table.className] = table.tBodies[0].rows.length;
for (const svg of document.querySelectorAll('svg[data-chart]')) {
  const frame = svg.getBoundingClientRect(), box = e => e.getBoundingClientRect();
  const marks = [...svg.querySelectorAll('.mark')].map(box), texts = [...svg.querySelectorAll('text')];
  const covered = [], out = [];
  texts.forEach((a, i) => {
    const p = box(a);
    if (p.left < frame.left - 1 || p.right > frame.right + 1 || p.bottom > frame.bottom + 1) out.push(a.textContent);
    texts.slice(i + 1).forEach(b => {
      const q = box(b);
      const x = Math.min(p.right, q.right) - Math.max(p.left, q.left);
      const y = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
      if (x > 1 && y > near) covered.push(a.textContent + ' / ' + b.textContent);
    });
  });
  found.charts[svg.dataset.chart] = { marks: marks.length, covered, out,
    seen: marks.filter(m => m.width > 0 && m.height > 0 && m.left >= frame.left && m.right <= frame.right).length };
}
document.documentElement.dataset.measured = JSON.stringify(found);
</script>";

/// A browser of this test, which ends with it.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        // It has ended already unless the test fails.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[allow(clippy::print_stderr, reason = "a test that cannot run says so")]
fn browser() -> Option<&'static str> {
    let there = BROWSERS.into_iter().find(|name| {
        let version = Command::new(name).arg("--version").stderr(Stdio::null()).output();
        version.is_ok_and(|output| output.status.success())
    });
    if there.is_none() {
        eprintln!("NOT TESTED: the report in a browser, as none of {BROWSERS:?} is here");
    }
    there
}

/// Opens a page of the folder with an option, and gives what the browser wrote to stdout.
async fn open(name: &str, folder: &Path, page: &str, option: &str) -> String {
    let said = folder.join("stdout");
    let child = Command::new(name)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
        .args(["--no-first-run", "--disable-dev-shm-usage", "--no-pdf-header-footer"])
        .args(OFFLINE)
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("--window-size={},{}", WINDOW.0, WINDOW.1))
        .arg(option)
        .arg(format!("file://{}", folder.join(page).display()))
        .stdin(Stdio::null())
        .stdout(File::create(&said).unwrap())
        .stderr(Stdio::null())
        .spawn();
    let mut child = Browser(child.unwrap());
    let mut status = None;
    wait::until("the browser is done", || {
        status = child.0.try_wait().unwrap();
        status.is_some()
    })
    .await;
    assert!(status.unwrap().success(), "{option}: {status:?}");
    std::fs::read_to_string(said).unwrap()
}

/// What the script measured, or `None` when it was not allowed to run.
fn measured(dom: &str) -> Option<Value> {
    let (_, rest) = dom.split_once("data-measured=\"")?;
    let text = rest.split_once('"')?.0;
    let text = text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">");
    serde_json::from_str(&text.replace("&amp;", "&")).ok()
}

fn check_measured(found: &Value, lang: Lang) {
    assert_eq!((&found["wide"], &found["fetched"]), (&false.into(), &0.into()), "{lang:?}");
    assert_eq!(found["rows"]["groups"], specimen::GROUPS);
    assert_eq!(found["rows"]["hospitals"], specimen::HOSPITALS);
    let charts = &found["charts"];
    // Of the thirty groups drawn one has nothing; one hospital has no index; twenty bars have 15
    // classes, or 13 and a remainder.
    let composed = (0..21).filter(|index| *index != specimen::SILENT);
    let parts: u32 = composed.map(|index| if index % 5 == 2 { 14 } else { 15 }).sum();
    for (chart, marks) in
        [("groups", 29), ("hospitals", specimen::HOSPITALS - 1), ("composition", parts)]
    {
        let chart = &charts[chart];
        assert_eq!((&chart["marks"], &chart["seen"]), (&marks.into(), &marks.into()), "{chart}");
        for wrong in ["covered", "out"] {
            let texts = chart[wrong].as_array().unwrap();
            assert!(texts.is_empty(), "{wrong} in {lang:?}: {texts:?}");
        }
    }
}

fn check_picture(path: &Path) {
    let decoder = png::Decoder::new(BufReader::new(File::open(path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let frame = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((frame.width, frame.height), WINDOW);
    let colours: HashSet<_> = pixels.chunks(frame.color_type.samples()).collect();
    assert!(colours.len() > 100, "{} colours", colours.len());
}

#[tokio::test]
async fn a_browser_without_a_network_shows_all_of_it() {
    let Some(name) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for lang in [Lang::En, Lang::Zh] {
        let page = cli::report::html(&specimen::benchmark(), lang, MADE);
        assert!(page.contains(POLICY));
        let scripted = page.replace("</body>", &format!("{MEASURE}</body>"));
        std::fs::write(folder.join("report.html"), &page).unwrap();
        std::fs::write(folder.join("scripted.html"), &scripted).unwrap();
        std::fs::write(folder.join("free.html"), scripted.replace(POLICY, "")).unwrap();

        let dom = open(name, folder, "scripted.html", "--dump-dom").await;
        assert!(dom.contains("data-chart") && measured(&dom).is_none(), "no script may run");
        let dom = open(name, folder, "free.html", "--dump-dom").await;
        check_measured(&measured(&dom).expect("the script measured"), lang);

        let picture = folder.join("report.png");
        open(name, folder, "report.html", &format!("--screenshot={}", picture.display())).await;
        check_picture(&picture);
        let printed = folder.join("report.pdf");
        open(name, folder, "report.html", &format!("--print-to-pdf={}", printed.display())).await;
        let printed = std::fs::read(printed).unwrap();
        assert!(printed.starts_with(b"%PDF-") && printed.len() > 20_000, "{}", printed.len());
    }
}

#[tokio::test]
async fn a_funnel_shows_every_hospital_that_told_its_sums() {
    let Some(name) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for lang in [Lang::En, Lang::Zh] {
        let page = cli::report::funnel::html(&funnel::standings(), lang, MADE);
        assert!(page.contains(POLICY) && !page.contains("<b>silent"));
        let scripted = page.replace("</body>", &format!("{MEASURE}</body>")).replace(POLICY, "");
        std::fs::write(folder.join("report.html"), &page).unwrap();
        std::fs::write(folder.join("free.html"), scripted).unwrap();
        let dom = open(name, folder, "free.html", "--dump-dom").await;
        let found = measured(&dom).expect("the script measured");
        assert_eq!((&found["wide"], &found["fetched"]), (&false.into(), &0.into()), "{lang:?}");
        let chart = &found["charts"]["funnel"];
        let all = &Value::from(funnel::TOLD);
        assert_eq!((&chart["marks"], &chart["seen"]), (all, all), "{chart}");
        for wrong in ["covered", "out"] {
            assert!(chart[wrong].as_array().unwrap().is_empty(), "{wrong} in {lang:?}: {chart}");
        }
        let picture = folder.join("report.png");
        open(name, folder, "report.html", &format!("--screenshot={}", picture.display())).await;
        check_picture(&picture);
    }
}
