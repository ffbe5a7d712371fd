-- Outcomes of a model, of one complexity or of all, in the complete hours that touch a time. Served by the primary key of
-- model_performance, which begins with window_start.
SELECT
    coalesce(sum(successful_requests), 0)::bigint AS successes, coalesce(sum(failed_requests), 0)::bigint AS failures
FROM public.model_performance
WHERE window_start > %(since)s - interval '1 hour' AND window_start < least(%(until)s, %(complete_until)s)
  AND model_name = %(model)s AND (%(complexity)s::text IS NULL OR complexity_level = %(complexity)s);
