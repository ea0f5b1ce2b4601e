-- unknown_name: drg
SELECT drg, count(*) FROM stay GROUP BY drg
