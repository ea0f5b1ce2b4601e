SELECT corr(total_cost, los_days), regr_count(total_cost, icu_hours), sum(total_cost) FROM stay
