SELECT date_trunc('month', discharged_at) AS month, count(*) FROM stay GROUP BY 1 ORDER BY 1
