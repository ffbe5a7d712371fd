-- Served by the primary key.
SELECT model FROM public.task_classifiers WHERE version = %(version)s;
