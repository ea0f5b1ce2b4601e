-- join: fee
SELECT count(*) FROM stay CROSS JOIN fee
