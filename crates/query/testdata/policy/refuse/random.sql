-- function: random
SELECT sum(total_cost * random()) FROM stay
