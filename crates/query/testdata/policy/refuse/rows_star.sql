-- row_output: stay_key
SELECT * FROM stay
