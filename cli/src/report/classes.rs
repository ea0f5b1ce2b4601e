//! Fee classes of the data model: their order, names and colours.
//!
//! Drugs and consumables, which policy looks at, are in full colour; the others are pale, one hue
//! for services, diagnostics and treatment each. The full colours are of the palette of Okabe and
//! Ito, which the colour-blind tell apart.

use crate::message::Lang;

/// A fee class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Class {
    /// Code in the data model.
    pub(super) code: &'static str,
    en: &'static str,
    zh: &'static str,
    /// Fill.
    pub(super) colour: &'static str,
    /// What is counted beside the bars.
    pub(super) kind: Kind,
}

/// What policy looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Western or Chinese.
    Drug,
    /// Consumables.
    Consumable,
    /// All else.
    Service,
}

impl Class {
    /// Its name.
    pub(super) const fn name(&self, lang: Lang) -> &'static str {
        match lang {
            Lang::En => self.en,
            Lang::Zh => self.zh,
        }
    }

    /// Whether it is in full colour, so that text on it is white.
    pub(super) fn full(&self) -> bool {
        self.kind != Kind::Service
    }
}

/// Every class in the order of the data model; the last takes all that are not in it.
pub(super) const CLASSES: [Class; 16] = [
    service("bed", "bed", "床位", "#b9ab97"),
    service("nursing", "nursing", "护理", "#cfc4b3"),
    service("medical_service", "medical service", "医疗服务", "#e4dccf"),
    service("examination", "examination", "检查", "#86b3ad"),
    service("laboratory", "laboratory", "化验", "#aaccc7"),
    service("imaging", "imaging", "影像", "#cfe3e0"),
    service("treatment", "treatment", "治疗", "#978fb5"),
    service("surgery", "surgery", "手术", "#b5aed0"),
    service("anaesthesia", "anaesthesia", "麻醉", "#d5d0e4"),
    Class {
        code: "western_drug",
        en: "western drugs",
        zh: "西药",
        colour: "#0072b2",
        kind: Kind::Drug,
    },
    Class {
        code: "chinese_drug",
        en: "Chinese drugs",
        zh: "中药",
        colour: "#3f97cc",
        kind: Kind::Drug,
    },
    service("blood", "blood", "血液", "#dba9c4"),
    Class {
        code: "consumable",
        en: "consumables",
        zh: "耗材",
        colour: "#d55e00",
        kind: Kind::Consumable,
    },
    service("rehabilitation", "rehabilitation", "康复", "#c5cc9c"),
    service("other", "other", "其他", "#d4d6d9"),
    service("", "further classes", "其他未列类别", "#e6e7e9"),
];

const fn service(
    code: &'static str,
    en: &'static str,
    zh: &'static str,
    colour: &'static str,
) -> Class {
    Class { code, en, zh, colour, kind: Kind::Service }
}
