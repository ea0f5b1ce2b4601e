-- aggregate: sum()
SELECT sum(DISTINCT total_cost) FROM stay
