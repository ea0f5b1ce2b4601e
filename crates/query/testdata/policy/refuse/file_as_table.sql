-- unknown_name: /etc/passwd
SELECT count(*) FROM '/etc/passwd'
