SELECT count(*) FROM stay WHERE stay_key NOT IN (SELECT stay_key FROM procedure WHERE level = '4')
