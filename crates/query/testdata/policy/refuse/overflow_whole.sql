-- measure: stay.los_days * stay.los_days * stay.los_days
SELECT sum(los_days * los_days * los_days) FROM stay
