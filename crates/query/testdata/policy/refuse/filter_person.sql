-- identity: stay.person_key
SELECT count(*) FROM stay WHERE person_key = 7
