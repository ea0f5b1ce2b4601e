SELECT line, stay_id, 'western_drug' AS class, fee_drug AS amount FROM source WHERE fee_drug IS NOT NULL
UNION ALL
SELECT line, stay_id, 'consumable' AS class, fee_consumable AS amount FROM source WHERE fee_consumable IS NOT NULL
