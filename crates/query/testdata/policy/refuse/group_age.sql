-- grouping: stay.age_years
SELECT age_years, count(*) FROM stay GROUP BY age_years
