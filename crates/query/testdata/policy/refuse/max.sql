-- aggregate: max()
SELECT drg_code, max(los_days) FROM stay GROUP BY drg_code
