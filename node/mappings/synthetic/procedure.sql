SELECT line, stay_id, 1 AS seq, principal_procedure AS code, 'ICD-9-CM-3' AS code_system, procedure_at AS performed_at, procedure_level AS level, true AS is_principal FROM source WHERE principal_procedure IS NOT NULL
UNION ALL
SELECT line, stay_id, 2, procedure_2, 'ICD-9-CM-3', procedure_at, '1', false FROM source WHERE procedure_2 IS NOT NULL
UNION ALL
SELECT line, stay_id, 3, procedure_3, 'ICD-9-CM-3', procedure_at, '1', false FROM source WHERE procedure_3 IS NOT NULL
