-- grouping: stay.total_cost
SELECT total_cost, count(*) FROM stay GROUP BY total_cost
