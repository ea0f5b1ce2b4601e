-- join: LEFT JOIN
SELECT count(*) FROM stay LEFT JOIN fee USING (stay_key)
