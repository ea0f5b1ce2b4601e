-- measure: CAST(stay.los_days * Int64(1000000) AS Int32)
SELECT sum(CAST(los_days * 1000000 AS INT)) FROM stay
