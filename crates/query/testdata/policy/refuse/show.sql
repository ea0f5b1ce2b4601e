-- statement: SHOW
SHOW TABLES
