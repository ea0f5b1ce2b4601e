-- function: repeat
SELECT count(*) FROM stay WHERE sex = repeat('F', 1000000000)
