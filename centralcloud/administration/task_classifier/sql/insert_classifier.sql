-- The newest version is found by the primary key.
INSERT INTO public.task_classifiers (version, who, reason, sha256, summary, model)
SELECT coalesce(max(version), 0) + 1, %(who)s || ' as ' || session_user, %(reason)s, %(sha256)s, %(summary)s, %(model)s
FROM public.task_classifiers
RETURNING version;
