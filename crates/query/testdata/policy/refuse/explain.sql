-- statement: EXPLAIN
EXPLAIN SELECT count(*) FROM stay
