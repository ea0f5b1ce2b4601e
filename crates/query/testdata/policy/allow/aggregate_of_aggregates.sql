SELECT max(m), min(m), median(m) FROM (SELECT drg_code, avg(total_cost) AS m FROM stay GROUP BY drg_code) t
