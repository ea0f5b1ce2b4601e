SELECT count(*) FROM stay WHERE los_days > 30 OR los_days BETWEEN 2 AND 3
