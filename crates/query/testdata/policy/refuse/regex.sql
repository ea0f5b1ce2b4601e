-- filter: stay.principal_diagnosis
SELECT count(*) FROM stay WHERE principal_diagnosis ~ 'K3[5-7]'
