-- The first attempts of an experiment that have arrived since a record, as arrays, with the outcome of those that have one: the
-- answer of one that waits for feedback counts as a success; share -1: it is not compared. Served by the primary key of each partition, and
-- idx_routing_records_request_id.
SELECT
    array_agg(id) AS id,
    array_agg((extract(epoch FROM timestamp) * 1000000)::bigint) AS at,
    array_agg(CASE WHEN session IS NULL THEN 1 ELSE 0 END::bigint) AS alone,
    array_agg(key) AS key,
    array_agg(arm) AS arm,
    array_agg(share) AS share,
    array_agg(coalesce(draw, 0)) AS draw,
    array_agg(CASE WHEN draw IS NULL THEN 0 ELSE 1 END::bigint) AS named,
    array_agg(CASE complexity WHEN 'simple' THEN 0 WHEN 'medium' THEN 1 ELSE 2 END::bigint) AS stratum,
    array_agg(CASE WHEN won THEN 1 ELSE 0 END::bigint) AS won
FROM (
    SELECT
        d.id, d.timestamp, d.session, d.complexity,
        CASE WHEN d.arm_share > 0 AND d.arm_share < 1 THEN d.arm_share ELSE -1 END AS share,
        hashtextextended(
            coalesce(d.session, d.request_id::text, d.instance_id || ' ' || coalesce(d.decision_id, d.id::text)), 0
        ) AS key,
        -- The first 64 bits of the hash by which the session's arm is drawn (contracts/experiment_arms.py); null without a name.
        ('x' || encode(substring(sha256(convert_to(
            %(experiment)s || E'\n' || %(salt)s || E'\n' || coalesce(d.session, d.request_id::text), 'UTF8'
        )) FOR 8), 'hex'))::bit(64)::bigint AS draw,
        CASE WHEN d.arm = %(control)s THEN -1 ELSE coalesce(array_position(%(treatments)s::text[], d.arm::text) - 1, -2) END::bigint AS arm,
        d.extra->>'not_made' IS NULL AND (
            coalesce(own.won, d.outcome = 'success') OR d.feedback_until IS NOT NULL AND NOT coalesce(own.lost, false)
        ) AS won
    FROM public.routing_records AS d
    LEFT JOIN LATERAL (
        SELECT
            bool_or(r.outcome = 'routed' AND r.id <= %(until_id)s) AS routed,
            -- It came before its decision, and has counted alone.
            bool_or(r.outcome <> 'routed' AND r.experiment = %(experiment)s AND r.id <= %(after_id)s) AS counted,
            bool_or(r.outcome = 'success') AS won,
            bool_or(r.outcome = 'failure') AS lost,
            bool_or(r.outcome = 'failure' AND coalesce(r.error_kind IN ('caller', 'policy'), false)) AS blameless
        FROM (
            SELECT r.id, r.experiment, r.outcome, r.error_kind, r.instance_id, r.decision_id, r.attempt
            FROM public.routing_records AS r
            WHERE r.request_id = d.request_id
                AND r.created_at >= now() - interval '8 days' AND r.created_at < now() + interval '1 day'
            LIMIT 100  -- as in read_decisions
        ) AS r
        WHERE r.instance_id = d.instance_id AND r.decision_id IS NOT DISTINCT FROM d.decision_id
            AND (d.decision_id IS NOT NULL OR r.attempt IS NOT DISTINCT FROM d.attempt)
    ) AS own ON d.request_id IS NOT NULL
    WHERE d.id > %(after_id)s AND d.id <= %(until_id)s
        AND d.created_at >= now() - interval '8 days' AND d.created_at < now() + interval '1 day'
        AND d.experiment = %(experiment)s AND coalesce(d.attempt, 1) = 1
        AND (
            d.extra->>'not_made' IS NOT NULL
            OR NOT coalesce(own.blameless, coalesce(d.error_kind IN ('caller', 'policy'), false))
        )
        AND CASE
            WHEN d.outcome = 'routed' THEN
                (coalesce(own.won OR own.lost, false) OR d.feedback_until IS NOT NULL) AND NOT coalesce(own.counted, false)
            ELSE NOT coalesce(own.routed, false)
        END
) AS decision;
