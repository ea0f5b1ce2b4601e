-- granularity: stay.total_cost >
SELECT count(*) FROM stay WHERE total_cost > 5000
