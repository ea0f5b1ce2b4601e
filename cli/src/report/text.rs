//! Every sentence of the report, in English and Chinese. `{}` stands for a part, in order.

use std::fmt::Display;

use crate::message::Lang;

macro_rules! texts {
    ($($name:ident = $en:literal, $zh:literal;)+) => {
        /// A sentence or heading of the report.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Text { $($name,)+ }

        impl Text {
            #[cfg(test)]
            pub(super) const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The text, with `{}` where parts go.
            pub(super) const fn of(self, lang: Lang) -> &'static str {
                match (self, lang) {
                    $((Self::$name, Lang::En) => $en, (Self::$name, Lang::Zh) => $zh,)+
                }
            }
        }
    };
}

texts! {
    Eyebrow = "Regional case-mix benchmark", "区域病例组合基准";
    Title = "Cost benchmark by disease group, region {}", "病组费用基准报告：区域 {}";
    Period = "Period", "时段";
    AllPeriods = "all periods", "全部时段";
    Tier = "Tier", "等级";
    AllTiers = "all tiers", "全部等级";
    Scheme = "Grouper", "分组方案";
    Measure = "Cost measure", "费用口径";
    Charge = "charges (what was billed)", "收费（结算金额）";
    Cost = "cost (what was spent)", "成本（实际消耗）";
    Trim = "Trimming", "极端值裁剪";
    NoTrim = "none", "不裁剪";
    Parameters = "Parameters", "参数";
    Answered = "Hospitals answered", "已应答医院";
    OfAsked = "{} of {} asked", "{} / {} 家";
    CoveredGroups = "Stays covered, in groups", "住院覆盖率（病组）";
    CoveredHospitals = "Stays covered, by hospital", "住院覆盖率（分医院）";
    WithheldGroups = "Groups withheld", "扣留病组";
    WithheldCells = "Hospital cells withheld", "扣留分院单元";
    Made = "Made", "生成时间";
    Pledge = "No record of a patient left a hospital. Every figure here comes from sums over at least \
        as many stays and persons as the region’s rules ask for; what is smaller was withheld. \
        A withheld value is shown as a dash (–), never as zero.",
        "患者明细从未离开医院。本报告的每个数字都来自达到区域规则最小人数与例数的汇总；低于该下限的一律扣留。\
        扣留的数值以短横（–）表示，绝不以零代替。";
    KeyFigures = "Key figures", "关键数字";
    KeyGroups = "disease groups", "病组数";
    KeyStays = "stays", "住院例数";
    KeyMean = "regional mean a stay, weighted by stays", "区域次均费用（按例数加权）";
    KeyHighest = "highest cost index", "费用消耗指数最高";
    KeyLowest = "lowest cost index", "费用消耗指数最低";

    GroupsTitle = "What a stay costs, by disease group", "各病组的次均费用分布";
    GroupsLead = "In order of stays, {} of {} groups. The box holds the middle half of stays with the median as a line; \
        whiskers reach the 10th and 90th percentile; the dot is the mean. {}",
        "按例数排序，绘出 {} / {} 个病组。箱体为中间一半的住院，竖线为中位数，须线为第 10 与第 90 百分位，圆点为均值。{}";
    LogAxis = "The axis is logarithmic.", "横轴为对数刻度。";
    GroupsNone = "No group has a value that was released.", "没有任何病组的数值获准公布。";
    GroupAxis = "{} a stay, in currency units", "每次住院的{}（货币单位）";
    AxisCharge = "charge", "收费";
    AxisCost = "cost", "成本";
    RegionalMean = "regional mean {}", "区域均值 {}";
    Withheld = "withheld", "已扣留";
    Stays = "stays", "例数";
    Mean = "mean", "均值";

    HospitalsTitle = "Hospitals: cost against length of stay", "医院：费用与住院时间";
    HospitalsLead = "Each mark is a hospital, its area in proportion to stays. An index of 1 is what the region as a \
        whole would have spent on the same patients.",
        "每个标记代表一家医院，面积与例数成正比。指数为 1，即收治同样的病例与全区域平均水平相当。";
    HospitalsNone = "No hospital has both indices.", "没有任何医院同时具有两个指数。";
    Numbered = "Numbers are those of the table of hospitals.", "编号与医院表中的编号一致。";
    FunnelEyebrow = "Observed against expected", "观察值与期望值";
    FunnelTitle = "Observed and expected {}, region {}", "{} 的观察值与期望值：区域 {}";
    FunnelModel = "Model", "模型";
    FunnelFormula = "Formula", "公式";
    FunnelFamily = "Family, link", "分布族，连接函数";
    FunnelHeading = "Hospitals: observed over expected, by size", "医院：观察/期望比与规模";
    FunnelLead = "Each mark is a hospital. Beyond the inner line lies one in twenty by chance alone, beyond the outer one in five hundred; names are given outside the inner line.",
        "每个标记为一家医院。仅由偶然，每二十家约有一家超出内线，每五百家约有一家超出外线；超出内线者标注名称。";
    FunnelNone = "No hospital told both sums.", "没有医院提供两项合计。";
    FunnelAcross = "expected", "期望值";
    FunnelUp = "observed / expected", "观察/期望";
    FunnelTable = "All hospitals", "全部医院";
    FunnelHospital = "Hospital", "医院";
    FunnelStays = "Stays", "住院";
    FunnelObserved = "Observed", "观察值";
    FunnelExpected = "Expected", "期望值";
    FunnelRatio = "O/E", "O/E";
    FunnelLimits = "95 % limits", "95% 置信限";
    FunnelExact = "Limits of counts are exact (Poisson). What a hospital withholds is a dash.", "计数的置信限为泊松精确限。医院扣留的数值以短横表示。";
    FunnelNormal = "Limits are normal, with the model's variance. What a hospital withholds is a dash.", "置信限按模型方差取正态近似。医院扣留的数值以短横表示。";
    NotDrawn = "Without both indices, so only in the table: {}.",
        "缺少其中一个指数而未绘出、仅列于表中的医院：{} 家。";
    Unlabelled = "Without room for a label, but with a name on pointing: {}.",
        "因位置不足未标名称、可将指针移至标记查看的医院：{} 家。";
    CostIndex = "cost index", "费用消耗指数";
    TimeIndex = "time index", "时间消耗指数";
    DearLong = "dearer and longer", "费用高、时间长";
    DearShort = "dearer but shorter", "费用高、时间短";
    CheapLong = "cheaper but longer", "费用低、时间长";
    CheapShort = "cheaper and shorter", "费用低、时间短";
    AreaKey = "{} stays", "{} 例";

    CompositionTitle = "What the money is spent on", "费用构成";
    CompositionLead = "Charges by fee class, in order of stays, of {} groups that have them released. Drugs and \
        consumables are in full colour; hatched is what was not released.",
        "按费用类别，取构成获准公布的 {} 个病组，按例数排序。药品与耗材以醒目颜色表示；斜线部分未获公布。";
    CompositionNone = "No group has charges by fee class that were released, so their composition is not shown.",
        "没有任何病组的费用构成获准公布，故不显示构成图。";
    Drugs = "drugs", "药品";
    Consumables = "consumables", "耗材";
    NotReleased = "not released", "未公布";

    GroupTable = "All disease groups", "全部病组";
    GroupTableLead = "Amounts in currency units a stay, lengths in days. The second line of a cell, in grey, is what \
        its heading says in grey. ± is the largest possible error of a percentile.",
        "金额为每次住院的货币单位，住院日以天计。单元格第二行（灰色）对应表头的灰色说明。± 为百分位数的最大可能误差。";
    NoGroups = "No group was released.", "没有任何病组获准公布。";
    Group = "Group", "病组";
    Name = "name", "名称";
    ColStays = "Stays", "例数";
    ColHospitals = "hospitals", "医院数";
    ColMean = "Mean", "均值";
    Sd = "sd", "标准差";
    GeoMean = "Geom. mean", "几何均值";
    Cv = "cv", "变异系数";
    ColMedian = "Median", "中位数";
    Error = "± error", "± 误差";
    Weight = "Weight", "权重 RW";
    Trimmed = "Trimmed", "裁剪例数";
    Los = "Days, mean", "平均住院日";
    GeoShort = "geometric", "几何均值";
    LosMedian = "Days, median", "住院日中位";
    Deaths = "Deaths", "病死率";
    Best = "Lowest mean of each tier", "同级最低均值";
    Dagger = "† The group has too few stays for a weight of its own; this is the weight of its adjacent group (ADRG).",
        "† 该组例数不足以单独计算权重；此处为其核心病组（ADRG）的权重。";

    HospitalTable = "All hospitals", "全部医院";
    HospitalTableLead = "Each value is over the cells of the hospital that were released. An index above 1, a bar to the right, \
        is dearer or longer than the same patients in the region as a whole.",
        "各值仅基于该医院获准公布的单元。指数大于 1（条形向右）表示同样病例的费用更高或时间更长。";
    NoHospitals = "No hospital’s figures were released.", "没有任何医院的数值获准公布。";
    Hospital = "Hospital", "医院";
    Grouped = "Grouped", "入组率";
    Cmi = "CMI", "CMI";
    TotalWeight = "Total weight", "总权重";
    ColCostIndex = "Cost index", "费用消耗指数";
    ColTimeIndex = "Time index", "时间消耗指数";
    MeanRatio = "mean of ratios", "比值均值";
    Above = "Stays above", "偏高例占比";
    Below = "Stays below", "偏低例占比";
    Alerts = "Alerts", "预警";

    Notes = "How the figures are made", "方法说明";
    TermWeight = "Relative weight", "相对权重（RW）";
    NoteWeight = "Mean of the group divided by the mean of all stays in groups. A weight of 2 says that a stay takes \
        twice what the average stay takes. A group with too few stays takes the weight of its adjacent group, and a \
        dagger says so.",
        "病组均值除以全部入组住院的均值。权重为 2，表示一次住院的消耗为平均水平的两倍。例数过少的病组采用其核心病组的权重，并以 † 标明。";
    TermCmi = "Case-mix index (CMI)", "病例组合指数（CMI）";
    NoteCmi = "Sum of the weights of a hospital’s stays divided by their number: how heavy its patients are. The total \
        weight is that sum.",
        "医院各住院的权重之和除以例数，反映收治病例的轻重。总权重即该权重之和。";
    TermIndex = "Cost index and time index", "费用消耗指数与时间消耗指数";
    NoteIndex = "Sum of the actual divided by sum of the expected, where the expected is the regional mean of each stay’s \
        group. The grey value beside it is the other common form: the ratio of the hospital’s mean to the region’s in each \
        group, averaged by stays. The two differ a little; the first is drawn.",
        "实际值之和除以期望值之和，期望值为每次住院所在病组的区域均值。旁边灰色数字为另一常用形式：各病组医院均值与区域均值之比，按例数加权平均。\
        两者略有差别；图中采用前者。";
    TermGeo = "Geometric mean, cv", "几何均值与变异系数";
    NoteGeo = "The geometric mean is the exponential of the mean logarithm: a few very dear stays move it little. The \
        coefficient of variation (cv) is the standard deviation divided by the mean.",
        "几何均值为对数均值的指数，受少数极高费用影响较小。变异系数为标准差除以均值。";
    TermPercentile = "Percentiles", "百分位数";
    NotePercentile = "Read from counts in value classes, added up over hospitals. The true percentile lies within the value \
        ± its error; without ± it is exact.",
        "由各医院分段计数相加后读出。真实百分位数必在所示值 ± 误差之内；无 ± 者为精确值。";
    TermShares = "Stays above, stays below", "偏高与偏低例占比";
    NoteShares = "Share of a hospital’s stays in groups whose mean is above, or below, the standard by the threshold of the \
        parameters. Alerts are counted by group.",
        "医院均值高于（或低于）标准达到参数阈值的病组，其住院例数占该院的比例。预警按病组计数。";
    TermWithheld = "Withheld", "扣留";
    NoteWithheld = "A cell with too few stays, persons or hospitals, or one that a single hospital dominates, is not \
        released by the hospital or the region. It is shown as a dash: that is not a zero and says nothing about its size.",
        "例数、人数或医院数过少，或由单家医院主导的单元，由医院或区域扣留，不予公布。扣留值以短横表示：既不等于零，也不说明其大小。";
    Footer = "Consilium · made from released sums only · {}", "Consilium · 仅由获准公布的汇总值生成 · {}";
}

impl Text {
    /// The text with its parts.
    pub(super) fn fill(self, lang: Lang, parts: &[&dyn Display]) -> String {
        let mut pieces = self.of(lang).split("{}");
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for (piece, part) in pieces.zip(parts) {
            text.push_str(&part.to_string());
            text.push_str(piece);
        }
        text
    }
}

/// A tier's name, or the tier itself when it is not one of the three.
pub(super) fn tier(tier: &str, lang: Lang) -> &str {
    match (tier, lang) {
        ("tertiary", Lang::Zh) => "三级",
        ("secondary", Lang::Zh) => "二级",
        ("primary", Lang::Zh) => "一级",
        ("", Lang::En) => "tier not told",
        ("", Lang::Zh) => "未注明等级",
        (other, _) => other,
    }
}

/// The name in the language, or in the other when it has none there.
pub(super) fn name(names: Option<&(String, String)>, lang: Lang) -> &str {
    let Some((en, zh)) = names else { return "" };
    let (first, second) = if lang == Lang::En { (en, zh) } else { (zh, en) };
    if first.is_empty() { second } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_are_complete_and_take_the_same_parts() {
        for text in Text::ALL {
            let holes = |lang| text.of(lang).matches("{}").count();
            assert_eq!(holes(Lang::En), holes(Lang::Zh), "{text:?}");
            assert!(!text.of(Lang::En).is_empty() && !text.of(Lang::Zh).is_empty(), "{text:?}");
        }
        let names = Some(("Appendectomy".to_owned(), String::new()));
        assert_eq!(name(names.as_ref(), Lang::Zh), "Appendectomy");
        assert_eq!((name(None, Lang::En), tier("tertiary", Lang::Zh)), ("", "三级"));
    }
}
