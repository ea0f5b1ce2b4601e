-- clause: GROUPING SETS
SELECT drg_code, count(*) FROM stay GROUP BY ROLLUP (drg_code)
