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
    Waiting = "Waiting", "等待中";
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
    NoiseTold = "noise of {} hospitals: this question cost each {} (rho) of its yearly budget, which protects each person with epsilon {} at delta {}, but for exact answers; {} rows of a person count; the number of rows of a group has the standard deviation {}, groups below {} are not told",
        "{} 家医院加了噪声：本问题消耗每家年度预算的 {}（rho），全年对每个人的保护为 epsilon {}、delta {}（不含精确答案）；每人最多计 {} 行；组行数的标准差为 {}，低于 {} 行的组不予公布";
    RegionNoiseTold = "noise in regional sums, drawn by the witness: this question cost each hospital in them {} (rho) of its yearly budget, which protects each of its patients with epsilon {} at delta {}, but for exact answers and lists of codes; {} rows of a patient count in each hospital; the number of rows of a group has the standard deviation {}, groups below {} are not shown",
        "区域合计加了噪声（由见证方抽取）：本问题消耗参与的每家医院年度预算的 {}（rho），全年对其每位患者的保护为 epsilon {}、delta {}（不含精确答案和编码清单）；每位患者在每家医院最多计 {} 行；组行数的标准差为 {}，低于 {} 行的组不予显示";
    NoiseColumns = "columns _sd, where the question only picks aggregates, are standard deviations of the noise: without it the value would lie within 1.96 of them in 95 of 100 cases; rows and values beyond the hospital's bounds do not count, and that error is not in them",
        "_sd 列（仅当问题只选取聚合值时给出）为噪声的标准差：不加噪声的数值有 95% 的可能在 1.96 倍标准差之内；超出医院上限的行数和数值不计入，由此产生的误差不在其中";
    Approximate = "{}: exact in {} groups, near in {} (at most {} or {} off), not told in {}",
        "{}：{} 个组为精确值，{} 个组为近似值（误差不超过 {} 或 {}），{} 个组不予公布";
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
    StepServing = "{} nodes, the witness and the coordinator at {}, mutual TLS", "{} 个节点、见证端与协调端（{}）已启动，双向 TLS";
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
    DipTitle = "DIP catalogue {} {}: {} groups, {} of them core, {} stays of {}",
        "DIP 病种目录 {} {}：{} 组，其中核心病种 {} 组，{} 次住院，年度 {}";
    DipCode = "DIP", "病种编码";
    DipCombination = "combination", "诊断与操作组合";
    DipKind = "kind", "类别";
    DipWeight = "weight", "权重";
    DipCv = "CV", "变异系数";
    DipSplit = "split by", "辅助分型";
    DipCoverage = "Core groups hold {} of stays; {} released stays are in no group.",
        "核心病种覆盖 {} 的住院；另有 {} 次已放行住院未归入任何组。";
    DipBelow = "That is less than a catalogue should reach.", "低于目录应达到的比例。";
    BenchmarkTitle = "DRG cost benchmark of region {}: {} groups, {} stays, {} hospitals",
        "区域 {} 的 DRG 费用基准：{} 组，{} 次住院，{} 家医院";
    MoreHospitals = "... and {} more hospitals", "……另有 {} 家医院";
    MoreAlerts = "... and {} more alerts", "……另有 {} 条预警";
    Weight = "weight", "权重";
    Variation = "CV", "变异系数";
    MedianCost = "median", "中位费用";
    NinthDecile = "p90", "P90";
    MedianLos = "median LOS", "中位住院日";
    Consumables = "consumables", "耗材占比";
    GroupingRate = "grouped", "入组率";
    CaseMixIndex = "CMI", "CMI";
    TotalWeight = "total weight", "总权重";
    CostIndex = "cost index", "费用消耗指数";
    TimeIndex = "time index", "时间消耗指数";
    StaysAbove = "in dear groups", "偏高组住院占比";
    StaysBelow = "in cheap groups", "偏低组住院占比";
    Alerts = "alerts", "预警";
    TierMean = "others of tier", "同级其他医院均值";
    BestOfTier = "best of tier", "同级最优";
    Difference = "difference", "差额";
    Contribution = "difference x stays", "差额×住院数";
    MadeOf = "share of charges (others of tier)", "费用占比（同级其他）";
    HospitalTitle = "Hospital {} ({}): CMI {}, cost index {}, time index {}; against the other hospitals of its tier",
        "医院 {}（{}）：CMI {}，费用消耗指数 {}，时间消耗指数 {}；与同级其他医院比较";
    Fitting = "steps of the fit", "拟合步数";
    Growing = "trees", "棵树";
    BegunAgain = "the fit begins again: {}", "重新拟合：{}";
    Project = "project", "项目";
    Purpose = "purpose", "目的";
    Members = "members", "成员";
    LastDay = "until", "截止";
    NoProjects = "there is no project yet; consilium project create makes one",
        "尚无项目；用 consilium project create 创建";
    ProjectHead = "Project {} of {}, made {}", "项目 {}，负责人 {}，创建于 {}";
    ProjectPurpose = "Purpose: {}", "目的：{}";
    ProjectExact = "Answers: {}, exact", "回答：{}，精确值";
    ProjectNoisy = "Answers: {}, with noise that costs a hospital at most {} of rho a year",
        "回答：{}，加噪声，每家医院每年至多消耗 rho {}";
    ProjectBudget = "At most {} questions of each hospital, until {} (UTC)",
        "每家医院至多 {} 个问题，截止 {}（UTC）";
    ProjectVersion = "{} with the members {}", "{}，成员 {}";
    ProjectAsking = "Asks to join: {}; consilium project admit takes them in",
        "申请加入：{}；用 consilium project admit 接纳";
    QuestionsUsed = "questions", "已用问题数";
    RhoUsed = "rho this year", "本年 rho";
    StateUnknown = "unknown", "未知";
    StateWaiting = "waiting for the steward", "等待数据管理员";
    StateAccepted = "accepted", "已接受";
    StateDeclined = "declined", "已拒绝";
    StateOpen = "open (asks no steward)", "开放（无需批准）";
    StateClosed = "closed by the policy", "策略不允许";
    StateOver = "over", "已结束";
    Model = "model", "模型";
    Formula = "formula", "公式";
    Family = "family, link", "分布族，连接函数";
    HospitalsHeading = "hospitals", "医院数";
    Deviance = "deviance", "偏差";
    MadeAt = "made at", "时间";
    MadeBy = "by", "用户";
    NoModels = "no models yet; consilium fit makes one", "尚无模型；用 consilium fit 拟合";
    Term = "term", "项";
    Estimate = "estimate", "估计值";
    StandardError = "std. error", "标准误";
    RobustError = "robust", "稳健标准误";
    ClusteredError = "clustered", "聚类标准误";
    ZValue = "z", "z";
    PValue = "p", "p";
    Limits = "95 % limits", "95% 置信限";
    LogLikelihood = "log-likelihood", "对数似然";
    Aic = "AIC", "AIC";
    Bic = "BIC", "BIC";
    Dispersion = "dispersion", "离散度";
    ModelFit = "{} stays, {} degrees of freedom, deviance {} (mean alone {}), Pearson dispersion {}",
        "{} 例住院，自由度 {}，偏差 {}（仅均值 {}），Pearson 离散度 {}";
    ModelCriteria = "log-likelihood {}, AIC {}, BIC {}", "对数似然 {}，AIC {}，BIC {}";
    ModelTrees = "{} trees of depth {}, learning rate {}, at least {} stays on either side of a split, penalty {}; the fit is that to the stays they were grown on",
        "{} 棵树，深度 {}，学习率 {}，每次分裂两侧至少 {} 例住院，惩罚 {}；拟合优度为训练住院上的结果";
    Bins = "bins", "分箱数";
    Gain = "share of gain", "增益占比";
    ModelShape = "alpha {}, standard error {}", "alpha {}，标准误 {}";
    ModelProvenance = "{} hospitals, {} masked rounds, {} bytes, {} ms", "{} 家医院，{} 个掩码轮次，{} 字节，{} 毫秒";
    ModelLeft = "{} of {} stays are left out: they lack a value, or have one that the model does not admit",
        "{} / {} 例住院不纳入拟合：缺少数值，或数值不适用于该模型";
    ModelMerged = "{}: too few patients in {}{}; part of OTHER", "{}：{}{} 病例过少，并入 OTHER";
    ModelLeftOut = "{}: too few patients in {}{}, also together; their stays are left out",
        "{}：{}{} 病例过少，合并后仍不足，不纳入拟合";
    ModelApproximate = "standard errors are approximate: {} pairs of terms have too few patients together or apart (or none); the estimates are exact",
        "标准误为近似值：{} 对项的共同或单独病例过少（或没有）；估计值是精确的";
    Scored = "{} rows scored, {} without a prediction; predicted is the mean of {} as the formula has it",
        "已预测 {} 行，{} 行无预测值；predicted 为 {} 按公式形式的均值";
    Observed = "observed", "观察值";
    ExpectedSum = "expected", "期望值";
    Ratio = "O/E", "O/E";
    Position = "position", "位置";
    WithinLimits = "", "";
    AboveLimit = "above", "偏高";
    FarAbove = "far above", "显著偏高";
    BelowLimit = "below", "偏低";
    FarBelow = "far below", "显著偏低";
    OeTitle = "{}: observed against expected by {} ({})", "{}：观察值与模型 {} 的期望值（{}）";
    AlertsTitle = "{} alerts, most money at stake first", "{} 条预警，按涉及金额排序";
    NoAlerts = "No alerts: no hospital deviates by the thresholds beyond chance.",
        "无预警：没有医院的偏差超过阈值且超出偶然范围。";
    AlertKind = "alert", "类型";
    AlertCost = "cost", "费用超标";
    AlertCostEarly = "cost, early", "费用预警";
    AlertLos = "length of stay", "住院日超标";
    AlertMix = "severity mix", "重症占比";
    Own = "own", "本院";
    Standard = "standard", "标准";
    Deviation = "deviation", "偏差";
    AtStake = "at stake", "涉及金额";
    ReportSaved = "tables and reports written to {}", "表格与报告已写入 {}";
    Rounds = "{} questions to each hospital, {} bytes of cells received, {} ms; told: {} of stays for the region, {} of stays and {} of weight by hospital",
        "每家医院 {} 个问题，收到单元 {} 字节，{} 毫秒；公布：区域 {} 的住院，分医院 {} 的住院、{} 的权重";
    Trimmed = "Trimmed by {}: {} of {} groups; in the others nothing lies outside, or too few to be told apart.",
        "按 {} 裁剪：{} / {} 组；其余组无超限病例，或超限病例过少不可区分。";
    PaymentTitle = "{}: {} distributed over {} points, {} a point; rules {}",
        "{}：分配 {}，共 {} 点，每点 {}；参数 {}";
    Points = "points", "点数";
    Gross = "amount", "应付";
    Prepaid = "prepaid", "已预付";
    Balance = "balance", "差额应付";
    Shadow = "shadow", "对照方案";
    PaidFor = "{} stays are paid for, with {} of the region's weight; the rest lies in cells that hospitals withheld, and their share of the fund goes to the others.",
        "计入 {} 次住院，占区域总权重的 {}；其余在医院扣留的单元中，其份额由其他医院分得。";
    DeviationTold = "Deviating cases are told for {} of these stays; the others count as normal.",
        "其中 {} 的住院公布了偏差病例；其余按正常病例计。";
    DeviationOff = "Deviating cases are told for {} of these stays only, so none are taken into account.",
        "仅 {} 的住院公布了偏差病例，因此均不计偏差。";
    DeviationWaits = "No hospital tells deviating cases before its steward has decided, so all cases count as normal. A hospital that tells them names the pack in its policy, questions.packs, by its hash (consilium pack list).",
        "各医院须经数据管理员决定后才公布偏差病例，因此所有病例均按正常病例计。愿意公布的医院在其策略 questions.packs 中按哈希列出该问题包（见 consilium pack list）。";
    Unscored = "{} groups have no score and are not paid for: {}", "{} 个组没有分值，未计入：{}";
    PackName = "pack", "问题包";
    PackVersion = "version", "版本";
    PackHash = "content hash (SHA-256)", "内容哈希（SHA-256）";
    MoreGroups = "... and {} more groups", "……另有 {} 组";
    LeftHospitals = "What left the hospitals: {} regional sums (masked) and {} cells of single hospitals, {} bytes. What stayed: all {} rows of {} stays.",
        "离开医院的：{} 个区域汇总单元（掩码）与 {} 个单院单元，{} 字节。留在院内的：全部 {} 行（{} 次住院）。";
    Withheld = "Withheld: {} regional groups below the rules, {} cells by the hospitals' own. Coverage: {} of stays pooled, {} by hospital.",
        "扣留：{} 个区域组低于规则，{} 个单元按医院自身规则。覆盖：汇总 {}，分医院 {} 的住院。";
    MaskedNote = "Mode masked: hospitals mask what they upload; coordinator and witness together open only \
        regional sums that pass, and neither sees one hospital's part.",
        "模式 masked：医院上传掩码后的单元；协调端与见证端共同、且只打开符合规则的区域汇总，双方均看不到任何一家医院的部分。";
    ServingOn = "The region is serving. Ask it from another terminal; Ctrl-C ends it:",
        "区域正在运行。可在另一终端提问；Ctrl-C 结束：";
    KeptFolder = "The folder is kept: {}", "文件夹保留在：{}";
    Draining = "stopping", "正在停止";
    RegionMade = "region {} made in {}; keep {} to yourself and back it up",
        "区域 {} 已建于 {}；{} 请自行保管并备份";
    MayEnrol = "{} may enrol until {}; the token is shown once, tell it to that party only:",
        "{} 可在 {} 之前注册；令牌只显示这一次，请仅告知该方：";
    RequestWritten = "request written to {}; the keys stay in {}. At the region's authority:",
        "请求已写入 {}；密钥留在 {}。在区域管理方执行：";
    Delivered = "{} has a certificate until {}, roster version {}; its files are in {}:",
        "{} 的证书有效至 {}，名册版本 {}；文件在 {}：";
    Revoked = "{} is revoked since {}; bring {} (number {}) and {} (version {}) to every party",
        "{} 自 {} 起已吊销；请将 {}（编号 {}）与 {}（版本 {}）分发给各方";
    ListRenewed = "{}, number {}, is good until {}; bring it to every party",
        "{}，编号 {}，有效至 {}；请分发给各方";
    ListExpired = "the revocation list expired at {}: every door is closed; run consilium region crl",
        "吊销列表已于 {} 过期：所有连接均被拒绝；请运行 consilium region crl";
    RecordRestored = "{} is older than what was published from it, as a restored backup is: \
        revocations were taken over; invite again who was enrolled since",
        "{} 比已发布的名册或吊销列表更旧（如恢复的备份）：已沿用吊销记录；此后注册的各方须重新邀请";
    Party = "party", "参与方";
    Until = "until", "有效至";
    RenewFrom = "renew from", "可续期自";
    Serial = "serial", "序列号";
    Enrolled = "enrolled", "已注册";
    Invited = "invited", "已邀请";
    Vacant = "vacant", "空缺";
    RevokedSince = "revoked since {}", "自 {} 起已吊销";
    RegionState = "region {}, roster version {}, revocation list {} until {}",
        "区域 {}，名册版本 {}，吊销列表 {}，有效至 {}";
    SignKey = "signing key", "签名密钥";
    SealKey = "key for sealed messages", "密封密钥";
    RosterState = "region {}, version {}, {} hospitals, SHA-256 {}",
        "区域 {}，版本 {}，{} 家医院，SHA-256 {}";
    TokenUnknown = "no invitation of this region has the token; check it, or invite again",
        "本区域没有使用该令牌的邀请；请核对，或重新邀请";
    TokenUsed = "the token was used at {}; a token enrols once, invite again",
        "该令牌已于 {} 使用；一个令牌只能注册一次，请重新邀请";
    TokenExpired = "the token expired at {}; invite again", "该令牌已于 {} 过期；请重新邀请";
    TokenWithdrawn = "the invitation was withdrawn at {}; invite again",
        "该邀请已于 {} 撤回；请重新邀请";
    TokenOther = "the token invites {}, but the request is of {}", "该令牌邀请的是 {}，而请求来自 {}";
    KeyRetired = "a key of {} was revoked or replaced earlier; remove its key files, make new ones",
        "{} 的某个密钥此前已吊销或更换；请移除其密钥文件并重新生成";
    KeyShared = "{} has a key of {}; every party makes its own", "{} 使用了 {} 的密钥；各方须自行生成密钥";
    NotEnrolled = "{} is not enrolled in this region; invite it first", "{} 未在本区域注册；请先邀请";
    WasRevoked = "{} was revoked at {}; only a new invitation brings it back",
        "{} 已于 {} 吊销；只有重新邀请才能恢复";
    KeysOther = "the keys of {} are not those that it was enrolled with; new keys take an invitation",
        "{} 的密钥与注册时不同；更换密钥须重新邀请";
    RenewEarly = "the certificate of {} can be renewed from {} on, at two thirds of its life",
        "{} 的证书自 {} 起（有效期过三分之二）方可续期";
    RegionFull = "the region has {} hospitals, as many as sums are proved for",
        "本区域已有 {} 家医院，达到求和上界所证明的数量";
    Entries = "entries", "条目数";
    Checkpoints = "checkpoints", "检查点数";
    CosignedBy = "cosigned by", "联署";
    CosignedUpTo = "{} up to {}", "{} 至 {} 条";
    Findings = "findings", "问题数";
    AuditGood = "{} records with {} entries: nothing is wrong", "{} 份记录，共 {} 条：未发现问题";
    AuditWrong = "{} findings, listed above", "发现 {} 个问题，见上";
    AuditNewer = "note: {}: nobody else has cosigned the newest {} entries yet",
        "提示：{}：最新 {} 条尚无他方联署";
    AuditOpen = "note: {} has {} open reservations: questions in flight, or left by a crash",
        "提示：{} 有 {} 笔未结预留：正在处理的问题，或崩溃所遗留";
    AuditUnfinished = "note: {} has {} rounds of which nothing was answered and the witness knows nothing",
        "提示：{} 有 {} 轮未作出回答，见证方亦无记录";
    AuditNotHere = "note: {} vouches for logs that are not in this folder: {}",
        "提示：{} 联署过的下列日志不在此文件夹中：{}";
    Index = "entry", "条目";
    Time = "time", "时间";
    Kind = "kind", "类别";
    Outcome = "outcome", "结果";
    Scope = "scope", "范围";
    Round = "round", "轮次";
    Request = "request", "请求";
    WithheldBy = "withheld by", "扣留规则";
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
        RefusalCode::Budget => "noise budget used up",
        RefusalCode::Offer => "masked round not in order",
        RefusalCode::RosterUnknown => "roster not known",
        RefusalCode::Replay => "round seen before",
        RefusalCode::Quorum => "hospitals too few or too nearly the same",
        RefusalCode::Pack => "not a question of an approved pack",
        RefusalCode::Waiting => "waiting for a hospital's steward",
        RefusalCode::Declined => "declined by a hospital's steward",
        RefusalCode::Project => "not a question of the project",
        RefusalCode::Scheme => "unlike grouper schemes",
        RefusalCode::Model => "model that cannot be fitted",
        RefusalCode::Differencing => "nearly the same patients as before",
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
        RefusalCode::Budget => "噪声预算不足",
        RefusalCode::Offer => "掩码轮次无效",
        RefusalCode::RosterUnknown => "名册未知",
        RefusalCode::Replay => "轮次重复",
        RefusalCode::Quorum => "医院过少或与先前过于相近",
        RefusalCode::Pack => "不属于已批准的问题包",
        RefusalCode::Waiting => "等待医院数据管理员批准",
        RefusalCode::Declined => "已被医院数据管理员拒绝",
        RefusalCode::Project => "不属于该项目的问题",
        RefusalCode::Scheme => "分组方案不一致",
        RefusalCode::Model => "模型无法拟合",
        RefusalCode::Differencing => "与先前问题的患者几乎相同",
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
