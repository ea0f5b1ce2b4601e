SELECT sex, count(*) FROM stay WHERE principal_diagnosis LIKE 'K35%' GROUP BY sex
