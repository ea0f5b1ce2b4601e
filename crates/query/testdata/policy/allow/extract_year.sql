SELECT extract(year FROM discharged_at) AS y, extract(quarter FROM admitted_at) AS q, count(*) FROM stay GROUP BY 1, 2
