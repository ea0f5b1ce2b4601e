-- identity: stay.person_key
SELECT count(*) FROM stay WHERE person_key IN (1, 2, 3)
