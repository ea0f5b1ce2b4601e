"""Expected values of a DIP catalogue, computed with exact fractions and nothing of Consilium.

    python3 dip_catalogue.py > dip_catalogue.csv

Cells are made from single stays, which only this script sees. Columns: row type, key, values.
"""

import random
from collections import defaultdict
from fractions import Fraction
from math import sqrt

random.seed(20261122)
WEIGHTS = {2022: 1, 2023: 2, 2024: 7}
CORE = 15
SHAPE = [
    # path, stays in 2022, 2023, 2024, mean cost
    ("surgery|K35|K35.8:47.01", 40, 55, 70, 9000),
    ("surgery|K35|K35.8:47.09", 5, 6, 4, 8000),  # 15: just core
    ("surgery|K35|K35.2:47.01", 5, 5, 4, 12000),  # 14: mixed
    ("surgery|K35|K35.3:47.01", 3, 0, 2, 15000),
    ("surgery|K36", 2, 2, 2, 5000),  # 6: to the class
    ("conservative|I63|I63.9", 0, 30, 60, 9500),  # new in 2023
    ("conservative|I10|I10", 1, 0, 1, 3000),  # to the class, 2 stays: to everything
    ("diagnostic|C34|C34.1:33.24", 0, 0, 16, 4000),
    ("", 3, 1, 0, 7000),
]

cells, stays = [], defaultdict(lambda: defaultdict(list))
for path, *counts, mean in SHAPE:
    for year, count in zip(WEIGHTS, counts):
        costs = [round(random.lognormvariate(0, 0.5) * mean * 10000) for _ in range(count)]
        if costs:
            cells.append((year, path, costs))


def mean(costs):
    return Fraction(sum(costs), len(costs) * 10000)


def sd(costs):
    if len(costs) < 2:
        return ""
    n, total, squares = len(costs), sum(costs), sum(c * c for c in costs)
    return sqrt(Fraction(n * squares - total * total, n * (n - 1) * 10**8))


def weighted(years):
    found = {y: w for y, w in WEIGHTS.items() if years.get(y)}
    return sum(w * mean(years[y]) for y, w in found.items()) / sum(found.values())


for year, path, costs in cells:
    for_year = f"{year}|{path}" if path else str(year)
    print("cell", for_year, len(costs), sum(costs), sd(costs), sep=",")
    stays[path][year] += costs

for depth in (3, 2, 1):
    for path in list(stays):
        count = sum(len(c) for c in stays[path].values())
        if path and path.count("|") + 1 == depth and count < CORE:
            for year, costs in stays.pop(path).items():
                stays[path.rpartition("|")[0]][year] += costs

everything = defaultdict(list)
for years in stays.values():
    for year, costs in years.items():
        everything[year] += costs
region = weighted(everything)
for path in sorted(stays):
    years = stays[path]
    whole = [c for year in sorted(years) for c in years[year]]
    kind = "core" if path.count("|") == 2 else "mixed"
    values = (float(mean(whole)), float(weighted(years)), sd(whole), float(weighted(years) / region))
    print("group", path, kind, len(whole), *values, sep=",")
