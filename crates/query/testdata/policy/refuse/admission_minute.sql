-- granularity: stay.admitted_at =
SELECT avg(total_cost) FROM stay WHERE admitted_at = '2024-03-07 11:42:00'
