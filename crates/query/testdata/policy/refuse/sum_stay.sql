-- identity: stay.stay_key
SELECT sum(stay_key) FROM stay
