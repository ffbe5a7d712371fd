-- Messages of the open findings about the history of the database. Served by idx_findings_open.
SELECT message FROM public.findings WHERE kind = 'two_histories' AND closed_at IS NULL;
