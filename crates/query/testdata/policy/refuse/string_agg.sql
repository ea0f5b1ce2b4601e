-- aggregate: string_agg()
SELECT string_agg(sex, ',') FROM stay
