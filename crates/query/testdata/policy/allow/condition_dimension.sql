SELECT los_days > 30 AS long_stay, count(*) FROM stay GROUP BY 1
