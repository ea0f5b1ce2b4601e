-- syntax: SQL
SELEC count(*) FROM stay
