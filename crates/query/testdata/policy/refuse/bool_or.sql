-- aggregate: bool_or()
SELECT bool_or(died) FROM stay
