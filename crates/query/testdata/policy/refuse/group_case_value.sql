-- grouping: CASE
SELECT CASE WHEN died THEN total_cost END, count(*) FROM stay GROUP BY 1
