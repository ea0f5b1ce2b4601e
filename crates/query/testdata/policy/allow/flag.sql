SELECT drg_code, count(*) FILTER (WHERE died) AS deaths, count(*) FROM stay WHERE NOT died IS NULL GROUP BY drg_code
