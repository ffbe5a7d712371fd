-- Served by the primary key: the newest choices, newest first.
SELECT choice, version, at FROM public.task_classifier_choices ORDER BY choice DESC LIMIT %(most)s;
