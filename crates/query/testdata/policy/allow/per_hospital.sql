SELECT hospital_id, drg_code, count(*), avg(total_cost) FROM stay GROUP BY hospital_id, drg_code
