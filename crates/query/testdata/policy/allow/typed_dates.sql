SELECT count(*) FROM stay WHERE discharged_at >= DATE '2024-01-01' AND discharged_at < TIMESTAMP '2024-07-01 00:00:00'
