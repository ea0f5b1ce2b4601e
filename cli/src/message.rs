//! Every sentence for people, in English and Chinese. `{}` stands for a part, in order.

use std::fmt::Display;

use clap::ValueEnum;
use model::RefusalCode;

/// A language of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Lang {
    /// English
    #[default]
    En,
    /// Chinese (zh-CN)
    #[value(alias = "zh-CN", alias = "zh_CN", alias = "cn")]
    Zh,
}

impl Lang {
    /// The language of a locale such as `zh_CN.UTF-8`; English for all others.
    #[must_use]
    pub fn of_locale(locale: &str) -> Self {
        if locale.to_ascii_lowercase().starts_with("zh") { Self::Zh } else { Self::En }
    }
}

macro_rules! messages {
    ($($name:ident = $en:literal, $zh:literal;)+) => {
        /// A sentence or heading.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is documented by its own text")]
        pub enum Message { $($name,)+ }

        impl Message {
            /// Every message.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The text, with `{}` where parts go.
            #[must_use]
            pub const fn text(self, lang: Lang) -> &'static str {
                match (self, lang) {
                    $((Self::$name, Lang::En) => $en, (Self::$name, Lang::Zh) => $zh,)+
                }
            }
        }
    };
}

messages! {
    Plain = "{}", "{}";
    Refused = "Refused", "被拒绝";
    Instead = "Instead", "可以这样";
    Usage = "Wrong arguments", "参数有误";
    Data = "Wrong data", "数据有误";
    Unavailable = "Unavailable", "服务不可用";
    Internal = "Internal error", "内部错误";
    Output = "Cannot write", "无法写出";
    Configuration = "Configuration", "配置有误";
    Asking = "hospitals answering", "等待医院回答";
    Summary = "{} of {} hospitals, {} of stays, {} cells released, {} withheld, {}, {} ms",
        "{} / {} 家医院，覆盖 {} 的住院，放行 {} 个单元，扣留 {} 个，{}，{} 毫秒";
    MeasuresWithheld = "{} measures withheld in released cells", "放行单元中另有 {} 个指标被扣留";
    Missing = "missing: {} ({})", "缺席：{}（{}）";
    UnknownShare = "an unknown share", "未知比例";
    MoreRows = "{} more rows; --format csv or json shows all", "另有 {} 行；用 --format csv 或 json 查看全部";
    ScopePooled = "pooled", "区域汇总";
    ScopePerHospital = "per hospital", "分医院";
    ExplainRequest = "Request {} of {}, to each of {} hospitals", "请求 {} / {}，发往 {} 家医院";
    ExplainRelation = "Rows looked at, inside the hospital", "院内读取的行";
    ExplainDimensions = "One cell for each", "每个单元按";
    ExplainMeasures = "Each cell holds", "每个单元含";
    ExplainWhole = "the whole set", "全部";
    ExplainSelective = "Filtered or joined: the hospital's selectivity floor applies",
        "有筛选或连接：适用医院的最小选择集规则";
    ExplainRules = "Rules that apply", "适用规则";
    ExplainAbove = "At the coordinator, on released values", "协调端在已放行数值上执行";
    ExplainCost = "Scope {}, {} rounds, at most {} bytes from each hospital",
        "范围：{}，{} 轮，每家医院至多 {} 字节";
    ExplainCostOpen = "Scope {}, {} rounds; a dimension has no published code list, so bytes are open",
        "范围：{}，{} 轮；有维度未公布代码表，字节数不定";
    Column = "column", "列";
    Type = "type", "类型";
    May = "may be", "可";
    Group = "grouped", "分组";
    Filter = "filtered", "筛选";
    Measure = "measured", "度量";
    Conditions = "conditions", "条件写法";
    Note = "note", "说明";
    Codes = "codes", "代码";
    MoreCodes = "... {} in all", "……共 {} 个";
    Hospital = "hospital", "医院";
    State = "state", "状态";
    Tier = "tier", "等级";
    County = "county", "区县";
    Stays = "stays", "住院数";
    Snapshot = "snapshot", "快照";
    SnapshotAt = "made at", "生成时间";
    Since = "running since", "运行自";
    LastSeen = "last heard", "最近联系";
    Reason = "reason", "原因";
    StepFolder = "region folder {}", "区域文件夹 {}";
    StepKept = "region folder {} (made earlier, used again)", "区域文件夹 {}（沿用已有内容）";
    StepSources = "data of {} hospitals", "{} 家医院的数据";
    StepIdentity = "certificates for {} peers, valid 90 days", "{} 份证书，有效期 90 天";
    StepIngest = "ingested {} stays ({} rows) into {} snapshots, {} used again",
        "已导入 {} 次住院（{} 行），共 {} 个快照，其中 {} 个沿用";
    StepQuarantine = "{} rows in quarantine", "{} 行进入隔离区";
    StepServing = "{} nodes and the coordinator at {}, mutual TLS", "{} 个节点与协调端（{}）已启动，双向 TLS";
    StepReady = "{} of {} hospitals online", "{} / {} 家医院在线";
    StepAsked = "asked the region", "已向区域提问";
    WorkSources = "making data", "准备数据";
    WorkIngest = "ingesting", "导入";
    WorkServing = "starting nodes", "启动节点";
    WorkReady = "waiting for hospitals", "等待医院上线";
    DrgGroup = "DRG", "DRG 组";
    DrgName = "name", "名称";
    Hospitals = "hospitals", "医院数";
    MeanCost = "mean cost", "次均费用";
    SdCost = "sd", "标准差";
    MeanLos = "mean LOS", "平均住院日";
    Above = "furthest above", "高于均值最多";
    Below = "furthest below", "低于均值最多";
    BenchmarkTitle = "DRG cost benchmark of region {}: {} groups, {} stays, {} hospitals",
        "区域 {} 的 DRG 费用基准：{} 组，{} 次住院，{} 家医院";
    MoreGroups = "... and {} more groups", "……另有 {} 组";
    LeftHospitals = "What left the hospitals: {} cells, {} bytes. What stayed: all {} rows of {} stays.",
        "离开医院的：{} 个单元，{} 字节。留在院内的：全部 {} 行（{} 次住院）。";
    Withheld = "Withheld by the hospitals' own rules: {} cells. Coverage: {} of stays pooled, {} by hospital.",
        "按医院自身规则扣留：{} 个单元。覆盖：汇总 {}，分医院 {} 的住院。";
    ClearNote = "Mode clear: a pooled answer is the sum of what each hospital releases by itself; \
        masked sums, which hide even that from the coordinator, are not built yet.",
        "模式 clear：汇总结果为各医院各自放行单元之和；连协调端也看不到单院数值的掩码求和尚未实现。";
    ServingOn = "The region is serving. Ask it from another terminal; Ctrl-C ends it:",
        "区域正在运行。可在另一终端提问；Ctrl-C 结束：";
    KeptFolder = "The folder is kept: {}", "文件夹保留在：{}";
    Draining = "stopping", "正在停止";
}

/// The message with its parts.
#[must_use]
pub fn fill(message: Message, lang: Lang, parts: &[&dyn Display]) -> String {
    let mut pieces = message.text(lang).split("{}");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for (piece, part) in pieces.zip(parts) {
        text.push_str(&part.to_string());
        text.push_str(piece);
    }
    text
}

/// What a refusal's code means.
#[must_use]
pub const fn refusal_heading(code: RefusalCode, lang: Lang) -> &'static str {
    match lang {
        Lang::En => refusal_en(code),
        Lang::Zh => refusal_zh(code),
    }
}

const fn refusal_en(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::Syntax => "not one SQL query",
        RefusalCode::UnknownName => "unknown name",
        RefusalCode::Statement => "not a query",
        RefusalCode::RowOutput => "rows would leave a hospital",
        RefusalCode::Aggregate => "aggregate that cannot be added up",
        RefusalCode::Identity => "identity column",
        RefusalCode::Grouping => "grouping that is not possible",
        RefusalCode::Filter => "condition that is not possible",
        RefusalCode::Measure => "column that cannot be measured",
        RefusalCode::Granularity => "too fine",
        RefusalCode::Bounds => "too long or too deep",
        RefusalCode::Function => "function that is not possible",
        RefusalCode::Join => "join that is not declared",
        RefusalCode::Clause => "clause that is not possible here",
        RefusalCode::TooLarge => "too large",
        RefusalCode::Scope => "scope that is not answered",
        RefusalCode::PolicyUnset => "hospital closed",
        RefusalCode::Usage => "allowance used up",
        RefusalCode::Request => "malformed request",
    }
}

const fn refusal_zh(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::Syntax => "不是一条 SQL 查询",
        RefusalCode::UnknownName => "名称不存在",
        RefusalCode::Statement => "不是查询语句",
        RefusalCode::RowOutput => "会使明细行离开医院",
        RefusalCode::Aggregate => "该聚合不可相加",
        RefusalCode::Identity => "身份列",
        RefusalCode::Grouping => "不能这样分组",
        RefusalCode::Filter => "不能这样筛选",
        RefusalCode::Measure => "该列不可度量",
        RefusalCode::Granularity => "粒度过细",
        RefusalCode::Bounds => "过长或过深",
        RefusalCode::Function => "函数不可用",
        RefusalCode::Join => "未声明的连接",
        RefusalCode::Clause => "此处不可用的子句",
        RefusalCode::TooLarge => "规模过大",
        RefusalCode::Scope => "医院不回答该范围",
        RefusalCode::PolicyUnset => "医院未开放",
        RefusalCode::Usage => "当日次数已用完",
        RefusalCode::Request => "请求格式有误",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_take_the_same_parts() {
        for message in Message::ALL {
            let holes = |lang| message.text(lang).matches("{}").count();
            assert_eq!(holes(Lang::En), holes(Lang::Zh), "{message:?}");
        }
        assert_eq!(fill(Message::Missing, Lang::En, &[&"h-1", &"{}"]), "missing: h-1 ({})");
        assert_eq!(
            fill(Message::Missing, Lang::Zh, &[&"h-1", &"deadline"]),
            "缺席：h-1（deadline）"
        );
        assert_eq!(Lang::of_locale("zh_CN.UTF-8"), Lang::Zh);
        assert_eq!(Lang::of_locale("C"), Lang::En);
    }
}
