SELECT
    line,
    'discharge ' || CAST(line AS VARCHAR) AS stay_id,
    1 AS seq,
    "CCSR.Procedure.Code" AS code,
    'CCSR' AS code_system,
    true AS is_principal
FROM source
WHERE "CCSR.Procedure.Code" IS NOT NULL AND "CCSR.Procedure.Code" <> 'NA'
