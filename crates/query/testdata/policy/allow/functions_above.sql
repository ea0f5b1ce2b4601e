SELECT drg_code, round(avg(total_cost), 2), coalesce(sum(fund_paid) / nullif(sum(total_charge), 0), 0) FROM stay GROUP BY drg_code
