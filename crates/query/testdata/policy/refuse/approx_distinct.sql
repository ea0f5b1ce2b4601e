-- aggregate: approx_distinct()
SELECT approx_distinct(person_key) FROM stay
