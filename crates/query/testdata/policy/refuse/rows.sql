-- row_output: drg_code
SELECT drg_code, total_cost FROM stay
