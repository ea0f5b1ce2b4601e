-- whatever a row holds, doubles do not fail
SELECT sum(CAST(los_days AS DOUBLE) * los_days * los_days), sum(total_cost * 2), sum(CAST(total_cost AS DECIMAL(20, 4)) / 2) FROM stay
