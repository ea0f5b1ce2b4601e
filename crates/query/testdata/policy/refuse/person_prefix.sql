-- identity: stay.person_key
SELECT left(person_key, 2), count(*) FROM stay GROUP BY 1
