#!/usr/bin/env python3
"""Independent reference: boosted trees of the pooled SPARCS discharges, by LightGBM.

    python3 sparcs_trees.py DISCHARGES.csv.gz > sparcs_trees.json

Every fifth row of the file is held out. Features are handed over as the numbers of bins: days by
the public edges of the data model, codes in the order of their mean response over the rows trained
on, so that LightGBM chooses among the same splits as the platform. Rows without a severity are
left out, as they are in the platform.
"""
import hashlib
import json
import platform
import sys
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
from sparcs_models import load

FEATURES = ["age_band", "sex", "severity", "drg_code", "los_days"]
TREES, DEPTH, RATE, LEAST = 25, 4, 0.2, 20
# Where bins of days begin after the first: each day up to 60, then 62, 68, 75, ...
EDGES = [*range(2, 61), 62, 68, 75, 82, 91, 100, 110, 120]


def bins(train, test, response):
    """Both parts with the number of each feature's bin; `response` is that of the rows trained on."""
    def binned(name, rows):
        if name == "los_days":
            return np.searchsorted(EDGES, rows[name], side="right")
        means = response.groupby(train[name]).mean()
        order = sorted(means.index, key=lambda level: (means[level], level))
        return rows[name].map({level: rank for rank, level in enumerate(order)}).to_numpy()
    return [np.column_stack([binned(name, rows) for name in FEATURES]).astype("float64")
            for rows in (train, test)]


def auc(y, score):
    ranks = pd.Series(score).rank().to_numpy()
    n, m = y.sum(), (1 - y).sum()
    return (ranks[y == 1].sum() - n * (n + 1) / 2) / (n * m)


def measures(name, y, mean):
    if name == "gaussian":
        return {"mean_deviance": float(np.mean((y - mean) ** 2))}
    if name == "gamma":
        return {"mean_deviance": float(np.mean(2 * ((y - mean) / mean - np.log(y / mean))))}
    deviance = -2 * np.mean(y * np.log(mean) + (1 - y) * np.log(1 - mean))
    return {"mean_deviance": float(deviance), "auc": float(auc(y, mean))}


def main():
    path = Path(sys.argv[1])
    rows = load(path)
    # The number of a row in the file, before rows without a severity are left out.
    raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    number = np.flatnonzero(raw["illseveritydesc"] != "NA")
    held = number % 5 == 4
    train, test = rows[~held].reset_index(drop=True), rows[held].reset_index(drop=True)
    models = []
    for name, column, objective in [("gaussian", "total_cost", "regression"),
                                    ("gamma", "total_cost", "gamma"),
                                    ("binomial", "died", "binary")]:
        of = np.log if name == "gaussian" else pd.Series
        x, unseen = bins(train, test, of(train[column]))
        keep = ~np.isnan(unseen).any(axis=1)
        data = lightgbm.Dataset(x, of(train[column]), params={
            "max_bin": 255, "min_data_in_bin": 1, "feature_pre_filter": False})
        booster = lightgbm.train({
            "objective": objective, "num_leaves": 2 ** DEPTH, "max_depth": DEPTH,
            "learning_rate": RATE, "min_data_in_leaf": LEAST, "min_sum_hessian_in_leaf": 1e-3,
            "lambda_l2": 0.0, "boost_from_average": True, "verbosity": -1, "deterministic": True,
            "num_threads": 1, "seed": 1}, data, TREES)
        y = of(test[column].to_numpy()[keep])
        models.append({"family": name, "response": "log(total_cost)" if name == "gaussian" else column, "train": len(train),
                       "test": int(keep.sum()),
                       **measures(name, y, booster.predict(unseen[keep]))})
    versions = {"python": platform.python_version(), "numpy": np.__version__,
                "pandas": pd.__version__, "lightgbm": lightgbm.__version__}
    json.dump({"source_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
               "versions": versions, "trees": TREES, "depth": DEPTH, "learning_rate": RATE,
               "least_stays": LEAST, "models": models}, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
