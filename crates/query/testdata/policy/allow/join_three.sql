SELECT f.class, count(*) FROM stay s JOIN diagnosis d ON d.stay_key = s.stay_key AND d.code = 'I10' JOIN fee f ON f.stay_key = s.stay_key GROUP BY f.class
