-- clause: UNION
SELECT count(*) FROM (SELECT sex FROM stay UNION ALL SELECT sex FROM stay) t
