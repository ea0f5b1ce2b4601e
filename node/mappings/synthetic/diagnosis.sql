SELECT line, stay_id, 1 AS seq, principal_diagnosis AS code, 'ICD-10' AS code_system, 'present' AS present_on_admission, true AS is_principal FROM source WHERE principal_diagnosis IS NOT NULL
UNION ALL
SELECT line, stay_id, 2, diagnosis_2, 'ICD-10', poa_2, false FROM source WHERE diagnosis_2 IS NOT NULL
UNION ALL
SELECT line, stay_id, 3, diagnosis_3, 'ICD-10', poa_3, false FROM source WHERE diagnosis_3 IS NOT NULL
UNION ALL
SELECT line, stay_id, 4, diagnosis_4, 'ICD-10', poa_4, false FROM source WHERE diagnosis_4 IS NOT NULL
UNION ALL
SELECT line, stay_id, 5, diagnosis_5, 'ICD-10', poa_5, false FROM source WHERE diagnosis_5 IS NOT NULL
UNION ALL
SELECT line, stay_id, 6, diagnosis_6, 'ICD-10', poa_6, false FROM source WHERE diagnosis_6 IS NOT NULL
