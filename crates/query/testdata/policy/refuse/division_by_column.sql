-- measure: /
SELECT avg(total_cost / los_days) FROM stay
