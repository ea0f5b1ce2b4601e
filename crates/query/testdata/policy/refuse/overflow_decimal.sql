-- measure: stay.total_cost * stay.total_cost * stay.total_cost * stay.t
SELECT sum(total_cost * total_cost * total_cost * total_cost / 1e30) FROM stay
