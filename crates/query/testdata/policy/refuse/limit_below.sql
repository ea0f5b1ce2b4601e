-- clause: LIMIT
SELECT avg(total_cost) FROM (SELECT total_cost FROM stay LIMIT 1) t
