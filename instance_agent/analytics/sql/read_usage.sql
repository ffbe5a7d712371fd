-- Sums of use by the given groups, for each period, from roll-ups.
SELECT * FROM centralcloud.usage_totals(
    %(since)s, %(until)s, %(groups)s::text[], %(period)s::text, %(timezone)s::text, %(workspace)s::text, %(model)s::text,
    %(most)s::integer
);
