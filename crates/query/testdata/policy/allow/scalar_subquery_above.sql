SELECT drg_code, sum(total_cost) * 1.0 / (SELECT sum(total_cost) FROM stay) AS share FROM stay GROUP BY drg_code
