-- clause: aggregate
SELECT count(*) FROM stay s JOIN (SELECT drg_code, avg(total_cost) AS m FROM stay GROUP BY drg_code) a ON s.drg_code = a.drg_code GROUP BY s.sex
