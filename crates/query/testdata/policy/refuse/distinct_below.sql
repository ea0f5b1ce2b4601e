-- clause: DISTINCT
SELECT count(*) FROM (SELECT DISTINCT sex, payer FROM stay) t
