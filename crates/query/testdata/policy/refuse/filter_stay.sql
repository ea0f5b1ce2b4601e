-- identity: stay.stay_key
SELECT count(*) FROM stay WHERE stay_key < 100
