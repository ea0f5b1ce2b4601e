-- statement: DELETE
DELETE FROM stay
