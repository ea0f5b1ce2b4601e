-- join: person_key = person_key
SELECT count(*) FROM stay a JOIN stay b ON a.person_key = b.person_key
