-- statement: INSERT
INSERT INTO stay VALUES (1)
