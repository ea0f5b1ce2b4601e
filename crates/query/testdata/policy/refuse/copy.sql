-- statement: COPY
COPY (SELECT * FROM stay) TO '/tmp/x.csv'
