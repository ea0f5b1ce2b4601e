-- statement: UPDATE
UPDATE stay SET sex = 'F'
