SELECT count(*), count(principal_procedure) FROM stay WHERE principal_procedure IS NOT NULL
