SELECT code, count(*), avg(total_cost) FROM stay JOIN diagnosis USING (stay_key) WHERE NOT is_principal GROUP BY code
