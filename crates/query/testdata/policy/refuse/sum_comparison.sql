-- measure: CAST AS Int32
SELECT sum(CAST(total_cost > 7067 AS INT)) FROM stay
