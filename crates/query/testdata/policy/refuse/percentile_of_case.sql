-- aggregate: approx_median()
SELECT approx_median(CASE WHEN sex = 'F' THEN los_days ELSE 3 END) FROM stay
