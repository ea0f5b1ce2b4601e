SELECT drg_code, exp(avg(ln(total_cost))) AS geometric_mean FROM stay GROUP BY drg_code
