-- measure: /
SELECT sum(los_days / 7) FROM stay
