//! The groups of the synthetic region, as data. The codes look like CHS-DRG and mean nothing more:
//! weights, costs and stays are invented.

use std::sync::LazyLock;

/// How a group is treated; decides what its charge is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Surgical,
    Medical,
    Procedural,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Surgical => "surgical",
            Self::Medical => "medical",
            Self::Procedural => "procedural",
        }
    }
}

/// An adjacent group; three groups by severity when `divided`, else one.
#[derive(Debug)]
pub(super) struct Adrg {
    /// Three characters; the first is the major diagnostic category.
    pub(super) code: &'static str,
    pub(super) divided: bool,
    pub(super) kind: Kind,
    pub(super) english: &'static str,
    pub(super) chinese: &'static str,
    /// Relative frequency.
    pub(super) weight: u32,
    /// Median charge in yuan without complications.
    pub(super) charge: f64,
    /// Median length of stay in days without complications.
    pub(super) days: f64,
    /// Mean age in years.
    pub(super) age: f64,
    /// Deaths among 10,000 stays without complications.
    pub(super) deaths: u32,
    pub(super) department: &'static str,
    /// ICD-10 codes.
    pub(super) diagnoses: &'static [&'static str],
    /// ICD-9-CM-3 codes; none for purely medical groups.
    pub(super) procedures: &'static [&'static str],
}

/// The appendicitis group.
pub(super) const APPENDECTOMY: &str = "GD1";
/// The stroke group.
pub(super) const STROKE: &str = "BR2";

macro_rules! adrgs {
    ($(($code:literal, $divided:literal, $kind:ident, $english:literal, $chinese:literal,
        $weight:literal, $charge:literal, $days:literal, $age:literal, $deaths:literal,
        $department:literal, $diagnoses:expr, $procedures:expr)),* $(,)?) => {
        &[$(Adrg {
            code: $code, divided: $divided, kind: Kind::$kind, english: $english,
            chinese: $chinese, weight: $weight, charge: $charge, days: $days, age: $age,
            deaths: $deaths, department: $department, diagnoses: &$diagnoses,
            procedures: &$procedures,
        }),*]
    };
}

#[rustfmt::skip]
pub(super) static ADRGS: &[Adrg] = adrgs![
    ("BB2", true, Surgical, "craniotomy", "颅脑手术", 10, 62_000.0, 16.0, 58.0, 300, "neurosurgery", ["I61.0", "S06.5", "C71.1"], ["01.24", "01.39", "01.59"]),
    ("BR2", true, Medical, "cerebral ischaemia", "脑缺血性疾患", 70, 9_500.0, 9.0, 69.0, 80, "neurology", ["I63.9", "I63.5", "I63.3", "G45.9"], []),
    ("BX2", false, Medical, "disorders of cranial nerves", "脑神经疾患", 12, 5_200.0, 6.0, 57.0, 5, "neurology", ["G51.0", "H81.1", "G50.0"], []),
    ("CB3", false, Surgical, "lens surgery", "晶体手术", 45, 6_000.0, 2.0, 70.0, 1, "ophthalmology", ["H25.9", "H26.9"], ["13.41", "13.71"]),
    ("DE1", false, Surgical, "tonsil and adenoid surgery", "扁桃体和/或腺样体切除手术", 16, 7_500.0, 5.0, 12.0, 1, "otolaryngology", ["J35.0", "J35.2"], ["28.2", "28.6"]),
    ("EB1", true, Surgical, "major chest surgery", "肺大手术", 14, 46_000.0, 11.0, 60.0, 60, "thoracic surgery", ["C34.1", "C34.3", "D14.3"], ["32.41", "32.20"]),
    ("ER2", true, Medical, "respiratory infection", "呼吸系统感染", 75, 6_000.0, 8.0, 52.0, 120, "respiratory medicine", ["J18.9", "J15.9", "J20.9"], []),
    ("EV1", true, Medical, "chronic obstructive lung disease", "慢性阻塞性肺疾病", 45, 8_600.0, 9.0, 72.0, 140, "respiratory medicine", ["J44.1", "J44.0"], []),
    ("FB1", true, Surgical, "valve surgery", "心脏瓣膜手术", 4, 125_000.0, 18.0, 57.0, 220, "cardiac surgery", ["I05.2", "I35.0", "I34.0"], ["35.22", "35.24"]),
    ("FM1", true, Procedural, "percutaneous coronary intervention", "经皮冠状动脉支架植入", 38, 34_000.0, 6.0, 64.0, 90, "cardiology", ["I25.1", "I20.0", "I21.9"], ["36.06", "36.07"]),
    ("FR2", true, Medical, "heart failure", "心力衰竭", 42, 9_000.0, 8.0, 73.0, 250, "cardiology", ["I50.9", "I50.0", "I11.0"], []),
    ("FV2", true, Medical, "hypertension", "高血压", 46, 5_100.0, 7.0, 64.0, 8, "cardiology", ["I10", "I11.9"], []),
    ("GB2", true, Surgical, "major bowel surgery", "小肠、大肠大手术", 14, 52_000.0, 15.0, 64.0, 150, "general surgery", ["C18.7", "C20", "K56.6"], ["45.76", "48.63"]),
    ("GD1", false, Surgical, "appendectomy", "阑尾切除术", 36, 9_000.0, 6.0, 38.0, 3, "general surgery", ["K35.8", "K35.3", "K36"], ["47.01", "47.09"]),
    ("GE1", false, Surgical, "hernia repair", "疝修补手术", 26, 9_800.0, 5.0, 58.0, 2, "general surgery", ["K40.9", "K43.9"], ["53.05", "53.12"]),
    ("GS1", true, Medical, "gastrointestinal bleeding", "消化道出血", 22, 9_200.0, 7.0, 60.0, 110, "gastroenterology", ["K92.2", "K25.4", "K26.4"], []),
    ("HC2", true, Surgical, "cholecystectomy", "胆囊切除手术", 34, 14_500.0, 7.0, 54.0, 10, "general surgery", ["K80.1", "K80.0"], ["51.23", "51.22"]),
    ("HT1", true, Medical, "cirrhosis and hepatitis", "肝硬化及肝炎", 20, 10_500.0, 10.0, 56.0, 180, "gastroenterology", ["K74.6", "B18.1", "K72.9"], []),
    ("IC2", true, Surgical, "hip and knee replacement", "髋、膝关节置换", 20, 52_000.0, 12.0, 70.0, 25, "orthopaedics", ["M16.1", "M17.1", "S72.0"], ["81.51", "81.54"]),
    ("IF3", true, Surgical, "fracture surgery of the lower limb", "下肢骨折手术", 26, 28_000.0, 12.0, 50.0, 10, "orthopaedics", ["S82.2", "S82.8", "S92.3"], ["79.36", "78.57"]),
    ("IU2", false, Medical, "back disorders", "颈腰背疾患", 48, 5_400.0, 8.0, 59.0, 1, "orthopaedics", ["M51.2", "M47.8", "M54.5"], []),
    ("JA2", true, Surgical, "breast cancer surgery", "乳腺恶性肿瘤手术", 12, 22_000.0, 10.0, 53.0, 5, "breast surgery", ["C50.4", "C50.9"], ["85.43", "85.21"]),
    ("KS1", true, Medical, "diabetes", "糖尿病", 62, 6_300.0, 8.0, 61.0, 20, "endocrinology", ["E11.9", "E11.4", "E11.5"], []),
    ("LR1", true, Medical, "renal failure", "肾功能不全", 30, 9_800.0, 10.0, 60.0, 160, "nephrology", ["N18.5", "N17.9"], []),
    ("LL1", false, Procedural, "dialysis access", "肾透析通路手术", 10, 11_000.0, 7.0, 58.0, 20, "nephrology", ["N18.5"], ["39.27", "38.95"]),
    ("NA2", false, Surgical, "hysterectomy", "子宫切除手术", 18, 19_000.0, 9.0, 49.0, 1, "gynaecology", ["D25.9", "N80.0"], ["68.41", "68.49"]),
    ("OB1", false, Surgical, "caesarean section", "剖宫产手术", 44, 9_800.0, 6.0, 30.0, 0, "obstetrics", ["O82.9", "O34.2"], ["74.1"]),
    ("OR1", false, Medical, "vaginal delivery", "阴道分娩", 42, 5_200.0, 4.0, 29.0, 0, "obstetrics", ["O80.9", "O70.0"], ["73.59"]),
    ("RE1", false, Medical, "chemotherapy", "恶性增生性疾患的化学治疗", 60, 7_900.0, 4.0, 59.0, 15, "oncology", ["Z51.1"], ["99.25"]),
    ("RU1", true, Medical, "malignancy, supportive care", "恶性肿瘤姑息治疗", 16, 9_900.0, 10.0, 67.0, 900, "oncology", ["C80", "C78.7", "C79.5"], []),
];

/// Last character of the code, and names, by severity.
const LEVELS: [(char, &str, &str); 3] = [
    ('5', "without complications", "不伴并发症与合并症"),
    ('3', "with complications", "伴并发症与合并症"),
    ('1', "with major complications", "伴严重并发症与合并症"),
];
const UNDIVIDED: char = '9';

/// Code of the group at a severity from 0 (none) to 2 (major).
pub(super) fn drg_code(adrg: &Adrg, severity: usize) -> String {
    let last = if adrg.divided { LEVELS[severity.min(2)].0 } else { UNDIVIDED };
    format!("{}{last}", adrg.code)
}

/// Code of a group's part; the first keeps the group's own.
pub(super) fn subgroup_code(code: &str, subgroup: u16) -> String {
    if subgroup == 0 { code.to_owned() } else { format!("{code}.{subgroup:02}") }
}

/// Code, English and Chinese name of every group of a region whose groups are divided.
pub fn all_drg_names(subgroups: u16) -> impl Iterator<Item = (String, String, String)> {
    let part = |subgroup: u16| {
        drg_names().iter().map(move |(code, en, zh)| match subgroup {
            0 => (code.clone(), en.clone(), zh.clone()),
            part => {
                (subgroup_code(code, part), format!("{en} ({part})"), format!("{zh}（{part}）"))
            }
        })
    };
    (0..subgroups.max(1)).flat_map(part)
}

/// Code, English and Chinese name of every group.
#[must_use]
pub fn drg_names() -> &'static [(String, String, String)] {
    static NAMES: LazyLock<Vec<(String, String, String)>> = LazyLock::new(|| {
        let mut names = Vec::new();
        for adrg in ADRGS {
            if !adrg.divided {
                names.push((drg_code(adrg, 0), adrg.english.into(), adrg.chinese.into()));
                continue;
            }
            for (severity, (_, english, chinese)) in LEVELS.iter().enumerate() {
                let english = format!("{} {english}", adrg.english);
                let chinese = format!("{}，{chinese}", adrg.chinese);
                names.push((drg_code(adrg, severity), english, chinese));
            }
        }
        names
    });
    &NAMES
}
