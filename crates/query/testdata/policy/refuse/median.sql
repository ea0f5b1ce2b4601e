-- aggregate: median()
SELECT median(total_cost) FROM stay
