SELECT line, stay_id, 1 AS seq, principal_diagnosis AS code, 'ICD-10' AS code_system, true AS is_principal FROM source WHERE principal_diagnosis IS NOT NULL
UNION ALL
SELECT line, stay_id, 2, diagnosis_2, 'ICD-10', false FROM source WHERE diagnosis_2 IS NOT NULL
