SELECT var_samp(total_cost), var_pop(total_cost), stddev_pop(los_days), stddev_samp(age_years) FROM stay
