-- Revision 0012: versions beyond the newest published score, which instances have acknowledged, count as the newest.
UPDATE public.instances
SET applied_version = newest.version
FROM (
    SELECT coalesce(greatest(
        (SELECT max(version) FROM public.model_scores), (SELECT max(version) FROM public.model_score_history)
    ), 0) AS version
) AS newest
WHERE instances.applied_version > newest.version;
