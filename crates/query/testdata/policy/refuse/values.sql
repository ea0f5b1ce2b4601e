-- row_output: sum(t.n)
SELECT sum(n) FROM (VALUES (1), (2)) t(n)
