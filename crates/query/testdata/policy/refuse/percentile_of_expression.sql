-- aggregate: approx_median()
SELECT approx_median(total_cost + 1) FROM stay
