-- aggregate: approx_percentile_cont()
SELECT approx_percentile_cont(total_cost, 0.5, 100) FROM stay
