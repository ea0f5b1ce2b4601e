#!/usr/bin/env python3
"""Independent reference computation: DRG benchmark of the SPARCS discharges.

    python3 sparcs_benchmark.py DISCHARGES.csv.gz > sparcs_benchmark.json

Reads the pooled discharge rows (which no federated answer ever does) and computes
group statistics and hospital indices under two release policies: "open" releases
every group and every (hospital, group) cell; "default" applies minimum cell sizes, a
minimum number of hospitals, and a dominance rule to money. Nothing here shares code
with the platform; it is meant to be compared with it.

Counts, sums, means, weights and indices are exact (integer cents, rationals) and are
rounded to binary floating point once, on output. Standard deviations, percentiles and
geometric means come from pandas/numpy in double precision: sd has ddof=1, percentiles
interpolate linearly (type 7). A withheld or undefined value is null.

"deaths" is for information only (not a released figure where death_rate is null). A
hospital's "stays" counts all its released cells; its weights and indices use only those
whose group has a relative weight.
"""
import hashlib
import json
import platform
import sys
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

PERCENTILES = {"p10": 0.10, "p25": 0.25, "p50": 0.50, "p75": 0.75, "p90": 0.90}
MIN_STAYS_FOR_WEIGHT = 5  # below it a group would borrow a weight; here it gets none


class Policy(NamedTuple):
    min_stays: int
    min_hospitals: int
    max_dominance: Fraction  # on sum x_h^2 / (sum x_h)^2


POLICIES = {"open": Policy(1, 1, Fraction(1)), "default": Policy(11, 3, Fraction("0.5625"))}


def cents(text):
    value = Fraction(text) * 100
    if value.denominator != 1 or value <= 0:
        raise ValueError(f"not a positive amount in cents: {text!r}")
    return int(value)


def load(path):
    raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows = pd.DataFrame({
        "hospital": raw["Permanent.Facility.Id"], "group": raw["APR.DRG.Code"],
        "cents": raw["Total.Costs"].map(cents).astype("int64"),
        "los": raw["los"].replace("120 +", "120").astype("int64"),
        "death": raw["death"].astype("int64"),
    })
    if (rows["los"] < 1).any() or not rows["death"].isin([0, 1]).all() \
            or (rows[["hospital", "group"]] == "").any(axis=None):
        raise ValueError("los under 1, death not 0 or 1, or an empty hospital or group code")
    return rows.assign(cost=rows["cents"] / 100)


def cell_sums(rows):
    """{(hospital, group): {"n", "cents", "los", "death"}} in (unbounded) Python integers."""
    table = rows.groupby(["hospital", "group"]).agg(
        n=("cents", "size"), cents=("cents", "sum"), los=("los", "sum"), death=("death", "sum"))
    return {key: {name: int(value) for name, value in row.items()}
            for key, row in table.to_dict("index").items()}


def group_totals(cells):
    groups = {}
    for (_, group), cell in cells.items():
        groups.setdefault(group, []).append(cell)
    return {group: {"cells": own, **{name: sum(cell[name] for cell in own) for name in own[0]}}
            for group, own in groups.items()}


def group_released(total, policy):
    return total["n"] >= policy.min_stays and len(total["cells"]) >= policy.min_hospitals


def cost_released(total, policy):
    squares = sum(cell["cents"] ** 2 for cell in total["cells"])  # exact integers
    return Fraction(squares, total["cents"] ** 2) <= policy.max_dominance


def death_rate_released(total, policy):
    """Deaths and survivors are each either none, or enough in enough hospitals."""
    def enough(counts):
        hospitals = sum(count > 0 for count in counts)
        return hospitals == 0 or (sum(counts) >= policy.min_stays
                                  and hospitals >= policy.min_hospitals)
    return (enough([cell["death"] for cell in total["cells"]])
            and enough([cell["n"] - cell["death"] for cell in total["cells"]]))


def mean(total, name):
    return Fraction(total[name], total["n"])


def relative_weights(costed):
    """RW_g = mean_g / mean_R over the groups with released cost; and those too small."""
    stays = sum(total["n"] for total in costed.values())
    regional_mean = Fraction(sum(total["cents"] for total in costed.values()), stays)
    weights = {group: mean(total, "cents") / regional_mean for group, total in costed.items()}
    rescale = sum(costed[group]["n"] * weight for group, weight in weights.items()) / stays
    assert abs(rescale - 1) <= 1e-12, rescale  # untrimmed, F1's rescaling is the identity
    too_few = sorted(group for group in costed if costed[group]["n"] < MIN_STAYS_FOR_WEIGHT)
    return {group: w for group, w in weights.items() if group not in too_few}, too_few


def geometric_mean(values):
    return np.exp(np.log(values).mean())


def number(value):
    """A JSON number, or null for a missing or undefined value."""
    return None if value is None or value != value else float(value)


def group_row(group, total, rows, policy, weights):
    dollars, sd = mean(total, "cents") / 100, rows["cost"].std(ddof=1)
    cost = {"mean": dollars, "sd": sd, "cv": sd / float(dollars),
            "geometric_mean": geometric_mean(rows["cost"]),
            **{name: rows["cost"].quantile(q) for name, q in PERCENTILES.items()},
            "relative_weight": weights.get(group)}
    if not cost_released(total, policy):
        cost = dict.fromkeys(cost)
    rate = mean(total, "death") if death_rate_released(total, policy) else None
    return {"drg_code": group, "stays": total["n"], "hospitals": len(total["cells"]),
            **{name: number(value) for name, value in cost.items()},
            "los_mean": number(mean(total, "los")), "los_median": number(rows["los"].median()),
            "los_geometric_mean": number(geometric_mean(rows["los"])),
            "deaths": total["death"], "death_rate": number(rate)}


def indices(cells, totals, name):
    """F4 (a) sum of actual / sum of expected, (b) stay-weighted mean of the ratios."""
    actual = sum(cell[name] for cell in cells.values())
    expected = sum(cell["n"] * mean(totals[group], name) for group, cell in cells.items())
    ratios = sum(cell["n"] * mean(cell, name) / mean(totals[group], name)
                 for group, cell in cells.items())
    return actual / expected, ratios / sum(cell["n"] for cell in cells.values())


def hospital_row(hospital, released, totals, weights):
    weighted = {group: cell for group, cell in released.items() if group in weights}
    values = dict.fromkeys(["cmi", "total_weight", "cost_index", "cost_index_mean_ratio",
                            "time_index", "time_index_mean_ratio"])
    if weighted:
        weight = sum(cell["n"] * weights[group] for group, cell in weighted.items())
        values["cmi"] = weight / sum(cell["n"] for cell in weighted.values())
        values["total_weight"] = weight
        for name, form in (("cents", "cost_index"), ("los", "time_index")):
            values[form], values[form + "_mean_ratio"] = indices(weighted, totals, name)
    return {"hospital_id": hospital, "stays": sum(cell["n"] for cell in released.values()),
            **{name: number(value) for name, value in values.items()}}


def benchmark(name, policy, rows):
    cells, by_group = cell_sums(rows), rows.groupby("group")
    totals = group_totals(cells)
    groups = {g: t for g, t in sorted(totals.items()) if group_released(t, policy)}
    costed = {g: t for g, t in groups.items() if cost_released(t, policy)}
    weights, too_few = relative_weights(costed)
    hospitals = {hospital: {} for hospital in sorted({hospital for hospital, _ in cells})}
    for (hospital, group), cell in cells.items():
        if cell["n"] >= policy.min_stays:
            hospitals[hospital][group] = cell
    group_rows = [group_row(group, total, by_group.get_group(group), policy, weights)
                  for group, total in groups.items()]
    hospital_rows = [hospital_row(hospital, released, totals, weights)
                     for hospital, released in hospitals.items()]
    share = {"groups": sum(row["stays"] for row in group_rows) / len(rows),
             "cells": sum(row["stays"] for row in hospital_rows) / len(rows)}
    print(f"{name}: {len(groups)} of {len(totals)} groups ({len(costed)} with cost), "
          f"{sum(map(len, hospitals.values()))} of {len(cells)} cells", file=sys.stderr)
    return {"groups": group_rows, "hospitals": hospital_rows, "too_few": too_few,
            "share_of_stays": share}


def main(path):
    rows = load(path)
    made_with = {"script": "sparcs_benchmark.py", "python": platform.python_version(),
                 "pandas": pd.__version__, "numpy": np.__version__, "input_rows": len(rows),
                 "input_sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest()}
    policies = {name: benchmark(name, policy, rows) for name, policy in POLICIES.items()}
    print(json.dumps({"made_with": made_with, "policies": policies}, indent=1, allow_nan=False))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: sparcs_benchmark.py DISCHARGES.csv.gz > sparcs_benchmark.json")
    main(sys.argv[1])
