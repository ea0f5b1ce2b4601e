-- function: date_trunc()
SELECT date_trunc('day', admitted_at), count(*) FROM stay GROUP BY 1
