-- clause: text
SELECT sum(CASE WHEN sex = 'F\''' THEN 1 ELSE 0 END) FROM stay
