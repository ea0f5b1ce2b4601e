SELECT approx_percentile_cont(0.25) WITHIN GROUP (ORDER BY total_cost DESC) AS p75 FROM stay
