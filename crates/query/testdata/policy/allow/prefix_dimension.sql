SELECT left(principal_diagnosis, 3) AS category, count(*) FROM stay GROUP BY 1
