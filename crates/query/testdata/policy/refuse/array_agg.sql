-- aggregate: array_agg()
SELECT array_agg(total_cost) FROM stay
