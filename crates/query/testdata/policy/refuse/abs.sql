-- function: abs()
SELECT sum(abs(total_cost - 7067)) FROM stay
