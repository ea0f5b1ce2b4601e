-- function: power()
SELECT sum(power(total_cost, 20)) FROM stay
