SELECT drg_code, count(*) AS stays, sum(total_cost) AS cost, avg(total_cost) AS mean_cost, stddev(total_cost) AS sd_cost, avg(los_days) AS mean_los FROM stay GROUP BY drg_code
