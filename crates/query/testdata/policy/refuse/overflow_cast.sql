-- measure: CAST(stay.total_cost * Int64(20000000) AS Decimal128(16, 4))
SELECT sum(CAST(total_cost * 20000000 AS DECIMAL(16, 4))) FROM stay
