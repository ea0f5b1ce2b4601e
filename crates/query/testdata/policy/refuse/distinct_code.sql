-- aggregate: count()
SELECT count(DISTINCT principal_diagnosis) FROM stay
