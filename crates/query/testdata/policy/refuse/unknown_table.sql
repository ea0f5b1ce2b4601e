-- unknown_name: stays
SELECT count(*) FROM stays
