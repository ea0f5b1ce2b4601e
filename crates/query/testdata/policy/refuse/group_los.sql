-- grouping: stay.los_days
SELECT los_days, count(*) FROM stay GROUP BY los_days
