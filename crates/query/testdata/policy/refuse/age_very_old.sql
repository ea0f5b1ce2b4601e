-- granularity: stay.age_years
SELECT count(*) FROM stay WHERE age_years >= 105
