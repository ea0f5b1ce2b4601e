SELECT payer, sex, count(*), avg(total_cost) FROM stay WHERE discharged_at >= '2024-03-01' AND discharged_at < '2024-04-01' AND hospital_tier = 'tertiary' GROUP BY payer, sex
