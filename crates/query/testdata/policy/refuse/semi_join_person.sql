-- join: IN (SELECT ...)
SELECT count(*) FROM stay WHERE person_key IN (SELECT person_key FROM fee WHERE amount >= 1000)
