-- row_output: Int64(1)
SELECT 1
