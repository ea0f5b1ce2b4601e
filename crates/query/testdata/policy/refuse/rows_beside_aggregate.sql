-- row_output: total_cost
SELECT total_cost, (SELECT avg(total_cost) FROM stay) FROM stay
