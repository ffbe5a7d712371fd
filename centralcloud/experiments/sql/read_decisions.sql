-- The first attempts of an experiment that were decided in a span of time, as arrays, each with what is known of its request.
-- One whose first choice was not called (not_made in extra) has failed; the answer of another model counts for the request alone.
-- idx_routing_records_experiment has the decisions, idx_routing_records_request_id the records of each request.
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
    array_agg(
        CASE WHEN own_won OR own_lost THEN 1 ELSE 0 END + CASE WHEN own_blameless THEN 2 ELSE 0 END
        + CASE WHEN own_aborted THEN 4 ELSE 0 END + CASE WHEN own_won THEN 8 ELSE 0 END
        + CASE WHEN won THEN 16 ELSE 0 END + CASE WHEN blameless THEN 32 ELSE 0 END
        + CASE WHEN feedback_until > timestamp + %(within)s::interval THEN 64 ELSE 0 END
        + CASE WHEN feedback_until IS NOT NULL THEN 128 ELSE 0 END::bigint
    ) AS facts,
    array_agg(coalesce(reward, -1)) AS reward,
    array_agg(coalesce(ms, -1)::double precision) AS ms,
    array_agg(coalesce(cost, -1)) AS cost
FROM (
    SELECT
        d.id, d.timestamp, d.session, d.complexity, d.feedback_until,
        hashtextextended(
            coalesce(d.session, d.request_id::text, d.instance_id || ' ' || coalesce(d.decision_id, d.id::text)), 0
        ) AS key,
        -- The first 64 bits of the hash by which the session's arm is drawn (contracts/experiment_arms.py); null without a name.
        ('x' || encode(substring(sha256(convert_to(
            %(experiment)s || E'\n' || %(salt)s || E'\n' || coalesce(d.session, d.request_id::text), 'UTF8'
        )) FOR 8), 'hex'))::bit(64)::bigint AS draw,
        CASE WHEN d.arm = %(control)s THEN -1 ELSE coalesce(array_position(%(treatments)s::text[], d.arm::text) - 1, -2) END::bigint AS arm,
        CASE WHEN d.arm_share > 0 AND d.arm_share < 1 THEN d.arm_share ELSE -1 END AS share,
        d.extra->>'not_made' IS NULL AND coalesce(of_request.own_won, d.outcome = 'success') AS own_won,
        d.extra->>'not_made' IS NOT NULL OR coalesce(of_request.own_lost, d.outcome = 'failure') AS own_lost,
        d.extra->>'not_made' IS NULL AND coalesce(
            of_request.own_blameless, d.outcome = 'failure' AND coalesce(d.error_kind IN ('caller', 'policy'), false)
        ) AS own_blameless,
        coalesce(of_request.own_aborted, d.outcome = 'failure' AND coalesce(d.error_kind = 'caller', false)) AS own_aborted,
        coalesce(of_request.won, d.outcome = 'success') AS won,
        d.extra->>'not_made' IS DISTINCT FROM 'unserved' AND coalesce(
            of_request.blameless, d.outcome = 'failure' AND coalesce(d.error_kind IN ('caller', 'policy'), false)
        ) AS blameless,
        CASE WHEN d.extra->>'not_made' IS NULL THEN coalesce(of_request.reward, d.reward) END AS reward,
        coalesce(of_request.ms, d.response_time_ms) AS ms,
        coalesce(of_request.nano_usd, d.cost_nano_usd, d.cost_usd * 1000000000)::double precision / 1000000000 AS cost
    FROM public.routing_records AS d
    LEFT JOIN LATERAL (
        SELECT
            bool_or(own AND r.outcome = 'routed') AS own_routed,
            bool_or(own AND r.outcome = 'success') AS own_won,
            bool_or(own AND r.outcome = 'failure') AS own_lost,
            bool_or(own AND r.outcome = 'failure' AND coalesce(r.error_kind IN ('caller', 'policy'), false)) AS own_blameless,
            bool_or(own AND r.outcome = 'failure' AND coalesce(r.error_kind = 'caller', false)) AS own_aborted,
            bool_or(r.outcome = 'success') AS won,
            bool_or(r.outcome = 'failure' AND coalesce(r.error_kind IN ('caller', 'policy'), false)) AS blameless,
            max(r.reward) FILTER (WHERE own AND r.outcome <> 'routed') AS reward,
            sum(r.response_time_ms) AS ms,
            sum(coalesce(r.cost_nano_usd, r.cost_usd * 1000000000)::numeric) AS nano_usd
        FROM (
            SELECT
                r.outcome, r.error_kind, r.reward, r.response_time_ms, r.cost_nano_usd, r.cost_usd,
                r.instance_id = d.instance_id AND r.decision_id IS NOT DISTINCT FROM d.decision_id
                    AND (d.decision_id IS NOT NULL OR r.attempt IS NOT DISTINCT FROM d.attempt) AS own
            FROM public.routing_records AS r
            WHERE r.request_id = d.request_id AND r.timestamp <= d.timestamp + %(within)s::interval
                AND r.created_at >= %(since)s::timestamptz - interval '8 days' AND r.created_at < now() + interval '1 day'
            LIMIT 100  -- a request has a few: one that an instance names again and again must not be read as often as it has
        ) AS r
    ) AS of_request ON d.request_id IS NOT NULL
    WHERE d.experiment = %(experiment)s AND d.timestamp >= %(since)s AND d.timestamp < %(until)s
        AND (d.timestamp >= %(repeated_until)s OR d.id > %(repeated_id)s)
        AND coalesce(d.attempt, 1) = 1
        -- Without a request, the outcome of a decision is not found: it stands for itself. An outcome with a decision does not.
        AND CASE WHEN d.outcome = 'routed' THEN d.request_id IS NOT NULL ELSE NOT coalesce(of_request.own_routed, false) END
) AS decision;
