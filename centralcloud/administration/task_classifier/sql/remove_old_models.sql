-- Served by the primary key. The rows stay: they say what was in use when.
UPDATE public.task_classifiers SET model = NULL
WHERE model IS NOT NULL AND version <= %(newest)s - %(kept)s AND version IS DISTINCT FROM %(in_use)s;
