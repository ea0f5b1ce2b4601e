-- unknown_name: tables
SELECT count(*) FROM information_schema.tables
