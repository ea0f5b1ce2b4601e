-- clause: OVER
SELECT avg(r) FROM (SELECT rank() OVER (ORDER BY total_cost) AS r FROM stay) t
