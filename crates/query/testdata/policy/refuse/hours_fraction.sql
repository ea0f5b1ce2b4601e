-- granularity: stay.icu_hours
SELECT count(*) FROM stay WHERE icu_hours > 13.25
