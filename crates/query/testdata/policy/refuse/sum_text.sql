-- measure: stay.severity
SELECT sum(CAST(severity AS DOUBLE)) FROM stay
