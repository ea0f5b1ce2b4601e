-- identity: stay.person_key
SELECT p, count(*) FROM (SELECT person_key AS p FROM stay) t GROUP BY p
