WITH f AS (SELECT * FROM stay WHERE sex = 'F') SELECT drg_code, count(*) FROM f GROUP BY drg_code
