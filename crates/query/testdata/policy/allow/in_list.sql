SELECT count(*) FROM stay WHERE payer IN ('employee', 'resident') AND sex NOT IN ('U')
