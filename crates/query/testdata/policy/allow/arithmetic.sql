SELECT drg_code, avg(total_charge - total_cost), sum(total_cost * 1.05), avg(-fund_paid / 100.0) FROM stay GROUP BY drg_code
