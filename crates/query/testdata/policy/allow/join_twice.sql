SELECT count(*) FROM diagnosis a JOIN diagnosis b ON a.stay_key = b.stay_key WHERE a.code LIKE 'E11%' AND b.code LIKE 'I10%'
