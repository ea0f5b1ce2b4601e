-- identity: stay.person_key
SELECT sum(CASE WHEN person_key = 3 THEN total_cost END) FROM stay
