SELECT
    line,
    stay_id,
    person_id,
    admitted_at,
    discharged_at,
    los_days,
    age_years,
    sex,
    payer,
    died,
    principal_diagnosis,
    drg_code,
    total_cost
FROM source
