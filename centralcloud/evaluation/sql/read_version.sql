-- The time of a version of the scores; no row for one that never was, or was trimmed. Served by the primary key.
SELECT created_at AS at FROM public.model_score_history WHERE version = %(version)s;
