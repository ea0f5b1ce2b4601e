-- statement: CREATE
CREATE TABLE t AS SELECT * FROM stay
