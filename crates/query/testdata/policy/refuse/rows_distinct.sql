-- row_output: principal_diagnosis
SELECT DISTINCT principal_diagnosis FROM stay
