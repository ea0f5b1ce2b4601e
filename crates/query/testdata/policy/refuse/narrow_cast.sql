-- measure: CAST AS Int64
SELECT sum(CAST(total_cost AS BIGINT)) FROM stay
