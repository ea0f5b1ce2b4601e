-- measure: %
SELECT sum(los_days % 2) FROM stay
