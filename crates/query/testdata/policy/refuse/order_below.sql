-- clause: LIMIT
SELECT sum(total_cost) FROM (SELECT total_cost FROM stay ORDER BY total_cost LIMIT 3) t
