-- aggregate: first_value()
SELECT first_value(total_cost ORDER BY total_cost) FROM stay
