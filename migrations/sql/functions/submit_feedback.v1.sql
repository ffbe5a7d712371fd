CREATE OR REPLACE FUNCTION centralcloud.submit_feedback(
    request_id uuid,
    success boolean,
    reward double precision,
    comment text,
    user_id text,
    workspace text,
    key_id text
)
RETURNS TABLE (status text, learned boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- Feedback of one key that may wait for its requests: they are ingested within seconds, unless the workers are stopped.
    most CONSTANT integer := 10000;
    given public.waiting_feedback;
BEGIN
    IF submit_feedback.request_id IS NULL THEN
        RAISE EXCEPTION 'request_id: found NULL, expected a UUID' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF submit_feedback.success IS NULL AND submit_feedback.reward IS NULL THEN
        RAISE EXCEPTION 'success, reward: found neither, expected one of them or both' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF submit_feedback.reward IS NOT NULL AND NOT submit_feedback.reward BETWEEN 0 AND 1 THEN
        RAISE EXCEPTION 'reward: found %, expected a number from 0 to 1', submit_feedback.reward
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF length(submit_feedback.comment) > 2000 THEN
        RAISE EXCEPTION 'comment: found % characters, expected at most 2000', length(submit_feedback.comment)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF length(submit_feedback.user_id) > 200 THEN
        RAISE EXCEPTION 'user_id: found % characters, expected at most 200', length(submit_feedback.user_id)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Served by idx_routing_records_request_id, in each partition. The bound is for events with a made-up id.
    IF submit_feedback.workspace IS NOT NULL AND (
        SELECT count(*) > 0 AND max(r.workspace) IS DISTINCT FROM submit_feedback.workspace
        FROM (
            SELECT one.workspace FROM public.routing_records AS one
            WHERE one.request_id = submit_feedback.request_id
            ORDER BY one.id LIMIT 100
        ) AS r
    ) THEN
        RETURN QUERY SELECT 'unknown'::text, NULL::boolean;
        RETURN;
    END IF;
    given.request_id := submit_feedback.request_id;
    given.reported_at := clock_timestamp();
    given.success := coalesce(submit_feedback.success, submit_feedback.reward >= 0.5);
    given.reward := submit_feedback.reward;
    given.user_id := submit_feedback.user_id;
    given.comment := submit_feedback.comment;
    given.key_id := coalesce(submit_feedback.key_id, '');
    RETURN QUERY SELECT applied.status, applied.learned FROM centralcloud.apply_feedback(given) AS applied;
    IF FOUND THEN
        RETURN;
    END IF;
    -- Served by the primary key, and by idx_waiting_feedback_key_id.
    IF NOT EXISTS (SELECT FROM public.waiting_feedback w WHERE w.request_id = given.request_id) AND (
        SELECT count(*) FROM (
            SELECT FROM public.waiting_feedback w WHERE w.key_id = given.key_id LIMIT most
        ) AS waiting
    ) >= most THEN
        RETURN QUERY SELECT 'refused'::text, NULL::boolean;
        RETURN;
    END IF;
    -- The first of several waits; a later one is a repetition, or comes after the outcome.
    INSERT INTO public.waiting_feedback (request_id, reported_at, success, reward, user_id, comment, key_id)
    VALUES (given.request_id, given.reported_at, given.success, given.reward, given.user_id, given.comment, given.key_id)
    ON CONFLICT (request_id) DO NOTHING;
    RETURN QUERY SELECT 'waiting'::text, NULL::boolean;
END
$$;
COMMENT ON FUNCTION centralcloud.submit_feedback IS
    'reports feedback of a client: as report_feedback; unknown: the request belongs to another workspace than the given one';
REVOKE ALL ON FUNCTION centralcloud.submit_feedback FROM PUBLIC;
