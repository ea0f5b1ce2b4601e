SELECT drg_code, count(*), avg(los_days) FROM stay WHERE stay_key IN (SELECT stay_key FROM diagnosis WHERE code LIKE 'E11%') GROUP BY drg_code
