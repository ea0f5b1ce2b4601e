SELECT drg_code, count(DISTINCT person_key), count(DISTINCT stay_key), count(DISTINCT hospital_id) FROM stay GROUP BY drg_code
