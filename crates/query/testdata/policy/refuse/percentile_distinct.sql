-- aggregate: approx_median()
SELECT approx_median(DISTINCT total_cost) FROM stay
