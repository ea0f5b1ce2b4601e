-- filter: stay.total_cost = stay.total_charge
SELECT count(*) FROM stay WHERE total_cost = total_charge
