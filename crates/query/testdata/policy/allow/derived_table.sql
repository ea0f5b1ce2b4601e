SELECT g, sum(c) FROM (SELECT drg_code AS g, total_cost AS c FROM stay WHERE sex = 'F') t GROUP BY g
