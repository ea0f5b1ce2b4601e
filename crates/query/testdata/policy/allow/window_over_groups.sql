SELECT drg_code, count(*) AS n, rank() OVER (ORDER BY count(*) DESC) AS place, sum(count(*)) OVER () AS total FROM stay GROUP BY drg_code
