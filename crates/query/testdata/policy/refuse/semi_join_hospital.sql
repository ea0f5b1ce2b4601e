-- filter: stay.hospital_id
SELECT count(*) FROM stay WHERE stay_key IN (SELECT stay_key FROM stay WHERE hospital_id = 'h-001')
