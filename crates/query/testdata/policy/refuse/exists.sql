-- filter: EXISTS (<subquery>)
SELECT count(*) FROM stay s WHERE EXISTS (SELECT 1 FROM diagnosis d WHERE d.stay_key = s.stay_key)
