SELECT count(*) FROM stay WHERE substr(principal_diagnosis, 1, 3) = 'K35'
