SELECT count(*) FROM stay WHERE age_years BETWEEN 20 AND 44
