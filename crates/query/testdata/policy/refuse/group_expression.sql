-- grouping: stay.age_years / Int64(10)
SELECT age_years / 10, count(*) FROM stay GROUP BY 1
