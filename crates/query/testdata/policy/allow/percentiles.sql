SELECT drg_code, approx_median(los_days) AS los, approx_percentile_cont(total_cost, 0.9) AS cost FROM stay GROUP BY drg_code HAVING approx_median(total_cost) > 1000
