-- granularity: stay.age_years
SELECT avg(total_cost) FROM stay WHERE age_years = 37
