-- grouping: stay.admitted_at
SELECT admitted_at, count(*) FROM stay GROUP BY admitted_at
