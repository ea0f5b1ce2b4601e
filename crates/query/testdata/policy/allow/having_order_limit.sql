SELECT drg_code, count(*) AS n FROM stay GROUP BY drg_code HAVING count(*) > 100 AND avg(total_cost) > 1000 ORDER BY n DESC LIMIT 5
