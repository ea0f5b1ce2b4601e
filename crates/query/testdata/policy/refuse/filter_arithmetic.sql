-- filter: stay.total_cost - Float64(7067.1)
SELECT count(*) FROM stay WHERE total_cost - 7067.1 < 0.01
