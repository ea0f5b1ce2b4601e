-- granularity: stay.birth_weight_g
SELECT count(*) FROM stay WHERE birth_weight_g = 3213
