-- row_output: total_cost
SELECT total_cost FROM stay ORDER BY total_cost DESC LIMIT 1
