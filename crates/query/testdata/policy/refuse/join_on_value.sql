-- join: fee
SELECT count(*) FROM stay JOIN fee ON stay.total_cost >= 1000
