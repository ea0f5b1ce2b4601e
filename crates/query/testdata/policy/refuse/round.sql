-- function: round()
SELECT sum(round(total_cost)) FROM stay
