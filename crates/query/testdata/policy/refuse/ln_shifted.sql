-- measure: ln()
SELECT sum(ln(total_cost - 7067)) FROM stay
