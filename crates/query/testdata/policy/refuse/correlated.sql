-- clause: los_days
SELECT count(*) FROM stay s WHERE s.stay_key IN (SELECT d.stay_key FROM diagnosis d WHERE d.seq = s.los_days)
