"""Vectors of the case-mix formulas, computed without this repository's code.

Made with Python 3.11.7 (fractions, statistics, math, random) and numpy 2.4.6. Exact where the formulas are:
money and weights are fractions, rounded once at the end. Run it to write the JSON files beside it:

    python3 vectors.py
"""

import json
import math
import random
import statistics
from fractions import Fraction as F
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
METHODS = ["none", "multiple", "quantile", "log-sd", "iqr"]


def write(name, value):
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in value)
    (HERE / f"{name}.json").write_text(f"[\n{lines}\n]\n")


def weights(groups, minimum=5, prefix=3):
    """F1 in its two steps: the ratio to the region's mean, then the rescaling."""
    known = [g for g in groups if g["sum_e4"] is not None and g["costed"]]
    region = F(sum(g["sum_e4"] for g in known), sum(g["costed"] for g in known))
    plain = []
    for g in groups:
        family = [x for x in known if x["code"][:prefix] == g["code"][:prefix]]
        total = sum(x["costed"] for x in family)
        if g["sum_e4"] is not None and g["costed"] >= minimum:
            plain.append((F(g["sum_e4"], g["costed"]) / region, "own"))
        elif total >= minimum:
            plain.append((F(sum(x["sum_e4"] for x in family), total) / region, "adjacent"))
        else:
            plain.append((None, "none"))
    pairs = [(g["stays"], w) for g, (w, _) in zip(groups, plain) if w is not None]
    scale = F(sum(n for n, _ in pairs)) / sum(n * w for n, w in pairs)
    return [{"value": None if w is None else float(w * scale), "basis": b} for w, b in plain]


def weight_cases(rng):
    cases = []
    for size in (1, 3, 12, 40):
        groups = []
        for _ in range(size):
            stays = rng.choice([rng.randint(1, 8), rng.randint(9, 4000)])
            costed = max(1, stays - rng.randint(0, 3)) if size > 1 else 9
            total = sum(rng.randint(10_000_000, 900_000_000) for _ in range(costed))
            code = rng.choice("BEFG") + rng.choice("RS") + "1" + rng.choice("135")
            groups.append(dict(code=code, stays=max(stays, costed), costed=costed,
                               sum_e4=None if size > 1 and rng.random() < 0.1 else total))
        if all(g["sum_e4"] is None for g in groups):
            groups[0]["sum_e4"] = 1_000_000
        cases.append(dict(groups=groups, expected=weights(groups)))
    return cases


def index_cases(rng):
    cases = []
    for size in (1, 2, 30):
        cells = [(rng.randint(1, 900), rng.uniform(500, 90_000), rng.uniform(500, 90_000))
                 for _ in range(size)]
        exact = [(n, F(a), F(b)) for n, a, b in cells]
        ratio = sum(n * a for n, a, _ in exact) / sum(n * b for n, _, b in exact)
        mean = sum(n * a / b for n, a, b in exact) / sum(n for n, _, _ in exact)
        cases.append(dict(cells=cells, ratio=float(ratio), mean_ratio=float(mean)))
    return cases


def hamilton(total, shares):
    """Largest remainders: shares are fractions of any sum; ties to the first."""
    exact = [F(total) * share / sum(shares) for share in shares]
    parts = [math.floor(x) for x in exact]
    order = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in order[: total - sum(parts)]:
        parts[i] += 1
    return parts


def settle_cases(rng):
    cases = []
    for scheme in ("rate", "points", "dip"):
        for hospitals in (1, 4, 9):
            groups = [f"G{i:02}" for i in range(12)]
            scores = {g: rng.randint(100_000, 9_000_000) / 1e6 for g in groups}
            tiers = {"tertiary": 1.1, "secondary": 0.95, "primary": 0.8}
            volumes = []
            for h in range(hospitals):
                tier = rng.choice(list(tiers))
                for g in rng.sample(groups, rng.randint(1, 12)):
                    stays = rng.randint(1, 700)
                    cases_micro = rng.choice([stays * 10**6, stays * 10**6 + rng.randint(0, 9**6)])
                    volumes.append(dict(hospital=f"h{h:02}", tier=tier, group=g, stays=stays,
                                        cases=cases_micro))
            fund, ratio = rng.randint(10**6, 10**11), 0.75
            pool = fund
            if scheme == "dip":
                pool = math.floor(F(fund) / F(3, 4) + F(1, 2))
            base = 100 if scheme == "points" else 1
            points = {}
            for v in volumes:
                exact = F(str(scores[v["group"]])) * F(str(tiers[v["tier"]])) * base
                micro = F(math.floor(exact * 10**6 + F(1, 2)), 10**6)
                mine = points.setdefault(v["hospital"], {})
                mine[v["group"]] = mine.get(v["group"], 0) + micro * F(v["cases"], 10**6)
            names = sorted(points)
            totals = [sum(points[h].values()) for h in names]
            gross = hamilton(pool, totals)
            by_group = [list(zip(sorted(points[h]), hamilton(x, [points[h][g] for g in sorted(points[h])])))
                        for h, x in zip(names, gross)]
            cases.append(dict(scheme=scheme, fund_cents=fund, ratio=ratio, scores=scores, tiers=tiers,
                              volumes=volumes, pool_cents=pool, value=float(F(pool, 100) / sum(totals)),
                              points=[float(x) for x in totals], gross_cents=gross, by_group=by_group))
    return cases


def deviation_cases(rng):
    cases = []
    for size in (1, 20, 400):
        mean = 2 * rng.randint(10_000_000, 150_000_000)
        costs = [round(mean * rng.lognormvariate(-0.2, 0.9)) for _ in range(size)]
        costs += [mean // 2, mean * 2, mean * 5]
        total, rows = F(0), []
        for c in costs:
            r = F(c, mean)
            kind = "low" if r < F(1, 2) else "high" if r > 2 else "normal"
            total += r if kind == "low" else r - 1 if kind == "high" else 1
            rows.append((c, kind, r > 5))
        of = lambda k: [c for c, kind, _ in rows if kind == k]
        cases.append(dict(mean=mean / 1e4, stays=len(rows), low_stays=len(of("low")), low_sum_e4=sum(of("low")),
                          high_stays=len(of("high")), high_sum_e4=sum(of("high")),
                          review_stays=sum(review for _, _, review in rows), micro=round(total * 10**6)))
    return cases


def trim_cases(rng):
    cases = []
    for size in (3, 24, 25, 300):
        values = [round(rng.lognormvariate(9, 0.7), 2) for _ in range(size - 2)] + [12.5, 900_000.0]
        x, logs, kept = np.array(values), np.log(values), {}
        for method in METHODS:
            if method == "multiple":
                low, high = x.mean() * 0.5, x.mean() * 2
            elif method == "quantile":
                low, high = np.percentile(x, [2.5, 97.5]) if size >= 25 else (-np.inf, np.inf)
            elif method == "log-sd":
                half = 3 * logs.std(ddof=1)
                low, high = np.exp(logs.mean() - half), np.exp(logs.mean() + half)
            elif method == "iqr":
                a, b = np.percentile(x, [25, 75])
                low, high = a - 1.5 * (b - a), b + 1.5 * (b - a)
            else:
                low, high = -np.inf, np.inf
            keep = (low <= x) & (x <= high)
            if method == "quantile" and (~keep).sum() > 0.08 * size:
                keep[:] = True
            kept[method] = keep.tolist()
        cases.append(dict(values=values, kept=kept))
    return cases


def stay_cases(rng):
    cases = []
    for size in (1, 2, 7, 500):
        days = [min(120, 1 + int(rng.expovariate(0.2))) for _ in range(size)]
        counts = [days.count(d) for d in range(max(days) + 1)]
        cases.append(dict(counts=counts, median=statistics.median(days),
                          geometric_mean=statistics.geometric_mean(days)))
    return cases


def composition_cases(rng):
    names = ["bed", "nursing", "medical_service", "examination", "laboratory", "imaging", "treatment", "surgery",
             "anaesthesia", "western_drug", "chinese_drug", "blood", "consumable", "rehabilitation", "other"]
    cases = []
    for withheld in (0, 4):
        own = {n: rng.randint(10**7, 10**11) for n in names}
        for name in rng.sample(names, withheld):
            own[name] = None
        other = {n: rng.randint(10**7, 10**11) for n in names}
        known = {n: v for n, v in own.items() if v is not None}
        total, whole = sum(known.values()), sum(other.values())
        share = {n: F(v, total) for n, v in known.items()}
        means = (12_345.25, 9_876.5)
        money = {n: s * F(means[0]) - F(other[n], whole) * F(means[1]) for n, s in share.items()}
        of = lambda *classes: float(sum(share.get(c, 0) for c in classes))
        cases.append(dict(
            own=own, reference=other, means=means,
            shares=[(n, float(share[n])) for n in sorted(share, key=lambda n: -share[n])],
            drug=of("western_drug", "chinese_drug"), consumable=of("consumable"),
            medical_service=of("bed", "nursing", "medical_service", "treatment", "surgery", "anaesthesia",
                               "rehabilitation"),
            money=[(n, float(money[n])) for n in sorted(money, key=lambda n: -money[n])]))
    return cases


def alert_case(rng):
    """A region of two tiers; the test as it is defined, by tier, at one in a hundred."""
    groups, standards, cells = ["BR11", "BR13", "GD25", "ES15"], [], []
    for tier in ("tertiary", "primary"):
        for g in groups:
            mean = rng.uniform(5_000, 20_000)
            standards.append(dict(tier=tier, group=g, mean_cost=mean, sd_cost=mean * 0.4, mean_los=6.0,
                                  sd_los=3.0, median_los=5.0))
        for h in range(8):
            for s in standards[-4:]:
                stays = rng.choice([10, 11, 60, 300])
                cells.append(dict(hospital=f"{tier[0]}{h}", tier=tier, group=s["group"], stays=stays,
                                  mean_cost=s["mean_cost"] * rng.choice([0.9, 1.0, 1.085, 1.12, 1.5]),
                                  mean_los=rng.choice([4.0, 5.9, 6.0, 7.5])))
    tail = lambda z: 0.5 * math.erfc(z / math.sqrt(2))
    made = []
    for c in cells:
        if c["stays"] < 11:
            continue
        s = next(s for s in standards if (s["tier"], s["group"]) == (c["tier"], c["group"]))
        root = math.sqrt(c["stays"])
        d = c["mean_cost"] / s["mean_cost"] - 1
        kind = "cost" if d > 0.0999999 else "early"
        made.append((d > 0.0799999, kind, c["hospital"], c["group"], (c["mean_cost"] - s["mean_cost"]) * c["stays"],
                     (c["mean_cost"] - s["mean_cost"]) / s["sd_cost"] * root))
        d = c["mean_los"] / 5 - 1
        made.append((d > 0.1999999, "los", c["hospital"], c["group"],
                     (c["mean_los"] - 6) * c["stays"] * s["mean_cost"] / 6, (c["mean_los"] - 6) / 3 * root))
    for tier in ("tertiary", "primary"):
        mine = {h: {c["group"]: c["stays"] for c in cells if c["hospital"] == h}
                for h in sorted({c["hospital"] for c in cells if c["tier"] == tier})}
        severe = sum(x["BR11"] for x in mine.values())
        p = severe / sum(x["BR11"] + x["BR13"] for x in mine.values())
        for h, x in mine.items():
            n = x["BR11"] + x["BR13"]
            z = (x["BR11"] / n - p) / math.sqrt(p * (1 - p) / n)
            made.append((z > 0, "severity", h, "BR1", 0.0, z))
    level = 0.01 / len(made)
    found = sorted([x[1:] for x in made if x[0] and tail(x[5]) <= level],
                   key=lambda x: (-x[3], x[1], x[2], x[0]))
    return dict(standards=standards, cells=cells, comparisons=len(made), expected=found)


def main():
    rng = random.Random(20260101)
    write("weight", weight_cases(rng))
    write("index", index_cases(rng))
    write("settle", settle_cases(rng))
    write("deviation", deviation_cases(rng))
    write("trim", trim_cases(rng))
    write("stay_length", stay_cases(rng))
    write("composition", composition_cases(rng))
    write("alert", [alert_case(rng)])


if __name__ == "__main__":
    main()
