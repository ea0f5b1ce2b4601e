-- filter: stay.los_days
SELECT count(*) FROM stay WHERE los_days LIKE '1%'
