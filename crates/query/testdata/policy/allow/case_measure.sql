SELECT drg_code, sum(CASE WHEN sex = 'F' THEN total_cost ELSE 0 END) / sum(total_cost) AS share FROM stay GROUP BY drg_code
