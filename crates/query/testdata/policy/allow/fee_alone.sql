SELECT class, sum(amount), count(DISTINCT person_key) FROM fee GROUP BY class
