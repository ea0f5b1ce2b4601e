SELECT sex, approx_median(total_cost) FILTER (WHERE payer = 'UEBMI') AS m FROM stay GROUP BY sex
