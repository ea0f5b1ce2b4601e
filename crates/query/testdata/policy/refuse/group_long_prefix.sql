-- granularity: stay.principal_diagnosis
SELECT left(principal_diagnosis, 12), count(*) FROM stay GROUP BY 1
