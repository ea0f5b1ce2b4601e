-- measure: CAST(ln(stay.total_cost) AS Decimal128(18, 4))
SELECT sum(CAST(ln(total_cost) AS DECIMAL(18, 4))) FROM stay
