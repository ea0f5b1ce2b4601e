-- row_output: sex
SELECT 'x' AS sex WHERE EXISTS (SELECT 1 FROM stay WHERE sex = 'F')
