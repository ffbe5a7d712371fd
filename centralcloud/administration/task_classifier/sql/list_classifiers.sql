-- Served by the primary keys: the newest versions, newest first. A model that was removed has no size.
SELECT
    c.version, c.trained_at, c.who, c.reason, c.sha256, c.summary, octet_length(c.model) AS bytes,
    c.version IS NOT DISTINCT FROM (
        SELECT choices.version FROM public.task_classifier_choices AS choices ORDER BY choices.choice DESC LIMIT 1
    ) AS in_use
FROM public.task_classifiers AS c
ORDER BY c.version DESC
LIMIT %(most)s;
