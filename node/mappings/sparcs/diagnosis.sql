SELECT
    line,
    'discharge ' || CAST(line AS VARCHAR) AS stay_id,
    1 AS seq,
    "CCSR.Diagnosis.Code" AS code,
    'CCSR' AS code_system,
    true AS is_principal
FROM source
WHERE "CCSR.Diagnosis.Code" IS NOT NULL AND "CCSR.Diagnosis.Code" <> 'NA'
