SELECT count(*), avg(los_days) FROM stay WHERE total_cost >= 5000 AND total_cost < 20000.0
