-- function: greatest()
SELECT sum(greatest(total_cost, 7067.1)) FROM stay
