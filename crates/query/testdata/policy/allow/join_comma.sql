SELECT count(*) FROM stay, procedure WHERE stay.stay_key = procedure.stay_key AND procedure.code LIKE '47%'
