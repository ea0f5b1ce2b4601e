-- aggregate: bit_xor()
SELECT bit_xor(los_days) FROM stay
