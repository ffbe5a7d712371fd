-- The newest choice is found by the primary key. Gateways are notified at commit.
WITH chosen AS (
    INSERT INTO public.task_classifier_choices (choice, version)
    SELECT coalesce(max(choice), 0) + 1, %(version)s FROM public.task_classifier_choices
    RETURNING choice
)
SELECT choice FROM chosen, pg_notify(%(channel)s, '');
