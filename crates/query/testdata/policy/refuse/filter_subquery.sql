-- filter: stay.total_cost = (<subquery>)
SELECT count(*) FROM stay WHERE total_cost > (SELECT avg(total_cost) FROM stay)
