-- clause: text
SELECT count(*) FROM stay WHERE drg_code = 'K''''1'
