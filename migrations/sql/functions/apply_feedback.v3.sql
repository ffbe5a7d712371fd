CREATE OR REPLACE FUNCTION centralcloud.apply_feedback(given public.waiting_feedback)
RETURNS TABLE (status text, learned boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
-- Applies feedback to the decision of the last attempt of its request. Returns no row while its record is not there. Served by
-- idx_routing_records_request_id: recent partitions first, the others only if these have no record.
-- The row of `feedback` is inserted before the outcome is sent, so that of several calls at the same time one sends it.
DECLARE
    since timestamptz := now() - interval '8 days';
    until timestamptz := now() + interval '1 day';
    last record;
    awaited timestamptz;
    outcome text;
    waiting record;
    known public.feedback;
    event jsonb;
BEGIN
    SELECT r.id, r.created_at, r.instance_id, r.decision_id, r.attempt, r.model, r.complexity, r.workspace INTO last
    FROM public.routing_records r
    WHERE r.request_id = given.request_id AND r.created_at >= since AND r.created_at < until
    ORDER BY r.attempt DESC NULLS LAST, r.id DESC LIMIT 1;
    IF NOT FOUND THEN
        SELECT r.id, r.created_at, r.instance_id, r.decision_id, r.attempt, r.model, r.complexity, r.workspace INTO last
        FROM public.routing_records r
        WHERE r.request_id = given.request_id AND r.created_at < since
        ORDER BY r.attempt DESC NULLS LAST, r.id DESC LIMIT 1;
        IF NOT FOUND THEN
            RETURN;
        END IF;
    END IF;
    since := last.created_at - interval '8 days';
    until := last.created_at + interval '8 days';

    SELECT max(r.feedback_until) INTO awaited
    FROM public.routing_records r
    WHERE r.request_id = given.request_id AND r.created_at >= since AND r.created_at < until;
    SELECT r.outcome INTO outcome
    FROM public.routing_records r
    WHERE r.request_id = given.request_id AND r.created_at >= since AND r.created_at < until AND r.outcome <> 'routed'
      AND r.instance_id = last.instance_id AND r.decision_id IS NOT DISTINCT FROM last.decision_id
      AND (r.decision_id IS NOT NULL OR r.attempt IS NOT DISTINCT FROM last.attempt)
    ORDER BY r.id DESC LIMIT 1;
    SELECT r.* INTO waiting
    FROM public.routing_records r
    WHERE r.request_id = given.request_id AND r.created_at >= since AND r.created_at < until AND r.outcome = 'routed'
      AND r.feedback_until >= given.reported_at
      AND r.instance_id = last.instance_id AND r.decision_id IS NOT DISTINCT FROM last.decision_id
      AND (r.decision_id IS NOT NULL OR r.attempt IS NOT DISTINCT FROM last.attempt)
    ORDER BY r.id LIMIT 1;
    learned := outcome IS NULL AND waiting.id IS NOT NULL;

    SELECT f.* INTO known FROM public.feedback f WHERE f.request_id = given.request_id;
    IF NOT FOUND AND outcome = 'failure' AND awaited >= given.reported_at
        AND given.reported_at > clock_timestamp() - interval '12 hours'
    THEN
        -- The request waits for feedback, and this attempt failed by itself: the record of another one may be on its way. After
        -- half a day it is not: every attempt has failed.
        RETURN;
    END IF;
    INSERT INTO public.feedback AS f (
        request_id, success, learned, reward, instance_id, decision_id, model_name, complexity_level, workspace, user_id, comment
    ) VALUES (
        given.request_id, given.success, learned, given.reward, last.instance_id, last.decision_id, last.model,
        last.complexity, last.workspace, given.user_id, given.comment
    )
    ON CONFLICT (request_id) DO NOTHING;
    IF NOT FOUND THEN
        -- Feedback that became the outcome stays; any other is replaced by the newest.
        UPDATE public.feedback f
        SET success = given.success, reward = given.reward, user_id = given.user_id, comment = given.comment
        WHERE f.request_id = given.request_id AND NOT f.learned;
        SELECT f.* INTO known FROM public.feedback f WHERE f.request_id = given.request_id;
        learned := known.learned AND known.success = given.success AND known.reward IS NOT DISTINCT FROM given.reward;
        status := CASE WHEN learned THEN 'learned' WHEN known.learned THEN 'ignored' ELSE 'stored' END;
        RETURN NEXT;
        RETURN;
    END IF;
    IF learned THEN
        event := jsonb_build_object(
            'timestamp', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'instance_id', waiting.instance_id,
            'routing_decision', coalesce((
                SELECT jsonb_object_agg(key, value)
                FROM jsonb_each(CASE jsonb_typeof(waiting.extra -> 'feedback_outcome')
                    WHEN 'object' THEN waiting.extra -> 'feedback_outcome' END)
                WHERE key IN ('response_time_ms', 'input_tokens', 'output_tokens', 'cost_usd', 'cost_nano_usd',
                    'first_token_ms', 'finish_reason', 'model_version')
            ), '{}') || jsonb_strip_nulls(jsonb_build_object(
                'complexity', waiting.complexity,
                'selected_model', waiting.model,
                'selected_provider', waiting.provider,
                'complexity_score', waiting.score,
                'outcome', CASE WHEN given.success THEN 'success' ELSE 'failure' END,
                'reward', given.reward,
                'decision_id', waiting.decision_id,
                'request_id', waiting.request_id,
                'attempt', waiting.attempt,
                'task_type', waiting.task_type,
                'workspace', waiting.workspace
            ))
        );
        PERFORM pgmq.send('model_routing_decisions', event);
    END IF;
    status := CASE WHEN learned THEN 'learned' ELSE 'stored' END;
    RETURN NEXT;
END
$$;
COMMENT ON FUNCTION centralcloud.apply_feedback IS 'applies feedback to its request; no row: the record of the request is not there yet';
REVOKE ALL ON FUNCTION centralcloud.apply_feedback FROM PUBLIC;
