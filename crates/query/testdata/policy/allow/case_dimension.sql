SELECT CASE WHEN los_days < 4 THEN 'short' WHEN los_days < 15 THEN 'middle' ELSE 'long' END AS stay_length, count(*) FROM stay GROUP BY 1
