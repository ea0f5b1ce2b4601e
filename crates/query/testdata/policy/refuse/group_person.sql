-- identity: stay.person_key
SELECT person_key, count(*) FROM stay GROUP BY person_key
