-- The hours that the roll-ups do not have completely, by model and complexity: from the evidence of slices that lie in one hour,
-- else, for the few that do not or whose evidence is not gathered yet, from their records. A record may have arrived up to 15
-- seconds before its slice was opened. Reads all slices, whose number grows with the logarithm of time; evidence by
-- idx_evidence_slice_no; records by the primary key of each partition.
WITH slice AS MATERIALIZED (
    SELECT
        slice_no, closed_at, after_record_id,
        lead(after_record_id) OVER (ORDER BY slice_no) AS last_record_id,
        gathered_at IS NOT NULL AND closed_at <= now()
            AND date_trunc('hour', opened_at - interval '15 seconds', 'UTC') = date_trunc('hour', closed_at, 'UTC') AS in_one_hour
    FROM public.evidence_slices
), counted AS (
    SELECT
        date_trunc('hour', s.closed_at, 'UTC') AS hour, e.model_name AS model, e.complexity_level AS complexity,
        greatest(e.routed, e.successes + e.failures + e.blameless) AS decisions, e.successes, e.failures,
        round(e.cost_usd::numeric * 1000000000) AS cost_nano_usd
    FROM slice s JOIN public.evidence e USING (slice_no)
    WHERE s.in_one_hour AND s.closed_at >= %(complete_until)s
    UNION ALL
    SELECT
        date_trunc('hour', r.created_at, 'UTC'), r.model, r.complexity,
        greatest(count(*) FILTER (WHERE r.outcome = 'routed'), count(*) FILTER (WHERE r.outcome <> 'routed')),
        count(*) FILTER (WHERE r.outcome = 'success'),
        count(*) FILTER (WHERE r.outcome = 'failure' AND NOT coalesce(r.error_kind IN ('caller', 'policy'), false)),
        coalesce(sum(coalesce(r.cost_nano_usd, round(r.cost_usd::numeric * 1000000000))), 0)
    FROM slice s
    JOIN public.routing_records r
        ON r.id > s.after_record_id AND r.id <= coalesce(s.last_record_id, 9223372036854775807)
    WHERE NOT s.in_one_hour AND coalesce(s.closed_at, 'infinity') >= %(complete_until)s
      AND r.created_at >= %(complete_until)s AND r.created_at <= now()
    GROUP BY 1, 2, 3, r.provider, r.instance_id
)
SELECT
    hour, model, complexity, sum(decisions)::bigint AS decisions, sum(successes)::bigint AS successes,
    sum(failures)::bigint AS failures, sum(cost_nano_usd)::bigint AS cost_nano_usd
FROM counted
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3;
