-- syntax: SQL
SELECT count(*) FROM stay; SELECT * FROM stay
