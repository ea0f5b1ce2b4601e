-- statement: EXPLAIN
EXPLAIN ANALYZE SELECT count(*) FROM stay
