-- Deletes what gateways said about targets and counts no more. Reads all of it: at most some 10,000 rows.
DELETE FROM public.target_health WHERE expires_at < %(as_of)s - interval '1 minute';
