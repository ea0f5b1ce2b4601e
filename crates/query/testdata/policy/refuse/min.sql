-- aggregate: min()
SELECT min(total_cost) FROM stay
