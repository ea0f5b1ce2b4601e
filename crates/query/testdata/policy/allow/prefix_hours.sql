SELECT severity, avg(icu_hours), count(icu_hours) FROM stay WHERE vent_hours >= 24 GROUP BY severity
