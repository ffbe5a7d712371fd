-- Published changes of a time. Served by the BRIN index idx_model_score_history_created_at.
SELECT count(*) AS changes, min(version) AS first_version, max(version) AS last_version, count(DISTINCT run_id) AS runs
FROM public.model_score_history
WHERE created_at >= %(since)s AND created_at < %(until)s;
