SELECT count(*) FROM stay WHERE age_years >= 20 AND age_years < 45
