-- join: IN (SELECT ...)
SELECT count(*) FILTER (WHERE stay_key IN (SELECT stay_key FROM diagnosis)) FROM stay
