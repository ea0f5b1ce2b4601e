-- filter: stay.principal_diagnosis
SELECT count(*) FROM stay WHERE principal_diagnosis LIKE '%35%'
