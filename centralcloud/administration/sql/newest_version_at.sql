-- The newest version of all scores at a time. Reads the history from its newest version on, to the first one of that time.
SELECT version FROM public.model_score_history WHERE created_at <= %(at)s ORDER BY version DESC LIMIT 1;
