-- granularity: stay.admitted_at <=
SELECT count(*) FROM stay WHERE admitted_at BETWEEN '2024-01-01' AND '2024-02-01'
