-- Counts the attempts after a failed one that arrived in a range of full quarter-hours. The attempt before, and the workspace, are
-- found by idx_routing_records_request_id; few requests have a second attempt.
WITH slices AS (
    SELECT
        min(after_record_id) AS after_record_id,
        (SELECT min(later.after_record_id) FROM public.evidence_slices later WHERE later.slice_no > max(s.slice_no)) AS last_record_id
    FROM public.evidence_slices s
    WHERE coalesce(closed_at, 'infinity') >= %(since)s AND (opened_at <= %(until)s + interval '1 hour' OR opened_at > now())
), escalated AS (
    SELECT
        date_bin('15 minutes', r.created_at, '2000-01-01 00:00:00+00') AS window_start,
        coalesce(r.workspace, '') AS workspace, coalesce(before.model, '') AS from_model, r.model AS to_model,
        coalesce(before.error_kind, 'unknown') AS reason
    FROM public.routing_records r
    LEFT JOIN LATERAL (
        SELECT model, error_kind
        FROM public.routing_records failed
        WHERE failed.request_id = r.request_id AND failed.attempt = r.attempt - 1
        ORDER BY failed.outcome = 'routed', failed.id LIMIT 1
    ) AS before ON true
    WHERE r.id > (SELECT after_record_id FROM slices)
      AND r.id <= (SELECT coalesce(last_record_id, 9223372036854775807) FROM slices)
      AND r.created_at >= %(since)s AND r.created_at < %(until)s
      AND r.outcome = 'routed' AND r.attempt > 1 AND r.request_id IS NOT NULL
), counted AS (
    SELECT
        *, count(*) AS requests,
        row_number() OVER (PARTITION BY window_start ORDER BY count(*) DESC, workspace, from_model, to_model, reason) AS nth
    FROM escalated
    GROUP BY window_start, workspace, from_model, to_model, reason
), bounded AS (
    SELECT
        window_start, reason, requests,
        CASE WHEN nth > %(of_all)s AND workspace <> '' THEN %(other)s::text ELSE workspace END AS workspace,
        CASE WHEN nth > %(of_all)s THEN %(other)s::text ELSE from_model END AS from_model,
        CASE WHEN nth > %(of_all)s THEN %(other)s::text ELSE to_model END AS to_model
    FROM counted
)
INSERT INTO public.escalation_roll_ups (window_start, id, workspace, from_model, to_model, reason, requests)
SELECT window_start, centralcloud.usage_key(ARRAY[workspace, from_model, to_model, reason]), workspace, from_model, to_model, reason, sum(requests)
FROM bounded
GROUP BY window_start, workspace, from_model, to_model, reason;
