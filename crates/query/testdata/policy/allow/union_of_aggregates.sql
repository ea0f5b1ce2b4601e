SELECT 'F' AS who, count(*) FROM stay WHERE sex = 'F' UNION ALL SELECT 'M', count(*) FROM stay WHERE sex = 'M'
