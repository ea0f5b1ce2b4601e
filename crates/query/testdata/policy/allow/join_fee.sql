SELECT s.drg_code, f.class, sum(f.amount) AS amount, count(DISTINCT s.stay_key) AS stays FROM stay s JOIN fee f ON s.stay_key = f.stay_key GROUP BY s.drg_code, f.class
