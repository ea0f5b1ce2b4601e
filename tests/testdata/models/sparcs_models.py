#!/usr/bin/env python3
"""Independent reference: generalised linear models of the pooled SPARCS discharges.

    python3 sparcs_models.py DISCHARGES.csv.gz > sparcs_models.json

Fits with statsmodels what the platform fits federated. Factors are coded against their
most frequent level; rows without a severity are left out. Estimates are those of
statsmodels (GLM by IRLS to a tolerance of 1e-14, NegativeBinomial by Newton). The ridge
fit, for which statsmodels has no exact solver, is Newton's method on statsmodels' own score
and Hessian with the penalty lambda/2 * sum(beta^2) over all but the intercept.
"""
import hashlib
import json
import platform
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
import statsmodels
import statsmodels.api as sm
from statsmodels.discrete.discrete_model import NegativeBinomial

RIDGE = 1.0
FACTORS = {
    "cost": ["age_band", "sex", "severity", "drg_code"],
    "death": ["age_band", "sex", "severity"],
}


def load(path):
    raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows = pd.DataFrame({
        "age_band": raw["age"].map(lambda a: a.split(" ")[0] + "+" if " or " in a
                                   else a.replace(" to ", "-")),
        "sex": raw["Gender"], "severity": raw["illseveritydesc"],
        "drg_code": raw["APR.DRG.Code"],
        "total_cost": raw["Total.Costs"].astype("float64"),
        "los_days": raw["los"].replace("120 +", "120").astype("float64"),
        "died": raw["death"].astype("float64"),
        "hospital": raw["Permanent.Facility.Id"],
    })
    return rows[rows["severity"] != "NA"].reset_index(drop=True)


def design(rows, factors, numbers=()):
    """Columns and their names: the intercept, levels in the order of their codes, numbers."""
    columns, names = [np.ones(len(rows))], ["(Intercept)"]
    for factor in factors:
        counts = rows[factor].value_counts()
        reference = min(counts[counts == counts.max()].index)
        for level in sorted(rows[factor].unique()):
            if level != reference:
                columns.append((rows[factor] == level).to_numpy(dtype="float64"))
                names.append(f"{factor}={level}")
    for name, values in numbers:
        columns.append(np.asarray(values, dtype="float64"))
        names.append(name)
    return np.column_stack(columns), names


def glm(name, y, x, names, family, hospitals):
    started = time.perf_counter()
    model = sm.GLM(y, x, family=family)
    fit = model.fit(tol=1e-14, maxiter=200, tol_criterion="params")
    seconds = time.perf_counter() - started
    robust = model.fit(tol=1e-14, maxiter=200, tol_criterion="params", cov_type="HC0")
    groups = pd.factorize(hospitals)[0]
    clustered = model.fit(tol=1e-14, maxiter=200, tol_criterion="params", cov_type="cluster",
                          cov_kwds={"groups": groups})
    return {
        "name": name, "columns": names, "stays": len(y), "estimates": list(fit.params),
        "errors": list(fit.bse), "robust_errors": list(robust.bse),
        "clustered_errors": list(clustered.bse),
        "deviance": fit.deviance, "null_deviance": fit.null_deviance,
        "log_likelihood": fit.llf, "pearson_dispersion": fit.pearson_chi2 / fit.df_resid,
        "aic": fit.aic, "seconds": seconds,
    }


def negative_binomial(y, x, names):
    model = NegativeBinomial(y, x, loglike_method="nb2")
    start = np.append(sm.GLM(y, x, family=sm.families.Poisson()).fit().params, 0.5)
    fit = model.fit(start_params=start, method="newton", tol=1e-14, maxiter=200, disp=0)
    return {
        "name": "nb2_los", "columns": names, "stays": len(y), "estimates": list(fit.params[:-1]),
        "errors": list(fit.bse[:-1]), "shape": fit.params[-1], "shape_error": fit.bse[-1],
        "log_likelihood": fit.llf, "aic": fit.aic,
    }


def ridge_binomial(y, x, names, weight):
    model = sm.GLM(y, x, family=sm.families.Binomial())
    penalty = np.full(x.shape[1], weight)
    penalty[0] = 0.0
    beta = np.zeros(x.shape[1])
    beta[0] = np.log(y.mean() / (1 - y.mean()))
    objective = lambda b: model.loglike(b, scale=1.0) - 0.5 * float(np.sum(penalty * b * b))
    for _ in range(100):
        score = model.score(beta, scale=1.0) - penalty * beta
        hessian = -model.hessian(beta, scale=1.0) + np.diag(penalty)
        step = np.linalg.solve(hessian, score)
        while objective(beta + step) < objective(beta) - 1e-9:
            step = step / 2
        beta = beta + step
        if np.abs(step).max() < 1e-14:
            break
    information = -model.hessian(beta, scale=1.0)
    inverse = np.linalg.inv(information + np.diag(penalty))
    mu = model.predict(beta)
    return {
        "name": "binomial_ridge", "columns": names, "stays": len(y), "ridge": weight,
        "estimates": list(beta), "errors": list(np.sqrt(np.diag(inverse @ information @ inverse))),
        "deviance": model.family.deviance(y, mu), "log_likelihood": model.loglike(beta, scale=1.0),
    }


def main():
    path = Path(sys.argv[1])
    rows = load(path)
    los = ("log(los_days)", np.log(rows["los_days"]))
    x, names = design(rows, FACTORS["cost"], [los])
    cost, h = rows["total_cost"].to_numpy(), rows["hospital"]
    models = [
        glm("gamma_cost", cost, x, names, sm.families.Gamma(sm.families.links.Log()), h),
        glm("gaussian_log_cost", np.log(cost), x, names, sm.families.Gaussian(), h),
    ]
    x, names = design(rows, FACTORS["cost"])
    days = rows["los_days"].to_numpy()
    models.append(glm("poisson_los", days, x, names, sm.families.Poisson(), h))
    models.append(negative_binomial(days, x, names))
    x, names = design(rows, FACTORS["death"])
    models.append(ridge_binomial(rows["died"].to_numpy(), x, names, RIDGE))
    versions = {"python": platform.python_version(), "numpy": np.__version__,
                "pandas": pd.__version__, "scipy": scipy.__version__,
                "statsmodels": statsmodels.__version__}
    json.dump({"source_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
               "versions": versions, "models": models}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
