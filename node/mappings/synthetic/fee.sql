SELECT line, stay_id, 'bed' AS class, fee_bed AS amount FROM source WHERE fee_bed IS NOT NULL
UNION ALL
SELECT line, stay_id, 'nursing' AS class, fee_nursing AS amount FROM source WHERE fee_nursing IS NOT NULL
UNION ALL
SELECT line, stay_id, 'medical_service' AS class, fee_medical_service AS amount FROM source WHERE fee_medical_service IS NOT NULL
UNION ALL
SELECT line, stay_id, 'examination' AS class, fee_examination AS amount FROM source WHERE fee_examination IS NOT NULL
UNION ALL
SELECT line, stay_id, 'laboratory' AS class, fee_laboratory AS amount FROM source WHERE fee_laboratory IS NOT NULL
UNION ALL
SELECT line, stay_id, 'imaging' AS class, fee_imaging AS amount FROM source WHERE fee_imaging IS NOT NULL
UNION ALL
SELECT line, stay_id, 'treatment' AS class, fee_treatment AS amount FROM source WHERE fee_treatment IS NOT NULL
UNION ALL
SELECT line, stay_id, 'surgery' AS class, fee_surgery AS amount FROM source WHERE fee_surgery IS NOT NULL
UNION ALL
SELECT line, stay_id, 'anaesthesia' AS class, fee_anaesthesia AS amount FROM source WHERE fee_anaesthesia IS NOT NULL
UNION ALL
SELECT line, stay_id, 'western_drug' AS class, fee_western_drug AS amount FROM source WHERE fee_western_drug IS NOT NULL
UNION ALL
SELECT line, stay_id, 'chinese_drug' AS class, fee_chinese_drug AS amount FROM source WHERE fee_chinese_drug IS NOT NULL
UNION ALL
SELECT line, stay_id, 'blood' AS class, fee_blood AS amount FROM source WHERE fee_blood IS NOT NULL
UNION ALL
SELECT line, stay_id, 'consumable' AS class, fee_consumable AS amount FROM source WHERE fee_consumable IS NOT NULL
UNION ALL
SELECT line, stay_id, 'rehabilitation' AS class, fee_rehabilitation AS amount FROM source WHERE fee_rehabilitation IS NOT NULL
UNION ALL
SELECT line, stay_id, 'other' AS class, fee_other AS amount FROM source WHERE fee_other IS NOT NULL
