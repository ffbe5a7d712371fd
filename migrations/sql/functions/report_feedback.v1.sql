CREATE OR REPLACE FUNCTION centralcloud.report_feedback(
    request_id uuid,
    success boolean DEFAULT NULL,
    reward double precision DEFAULT NULL,
    comment text DEFAULT NULL,
    user_id text DEFAULT NULL
)
RETURNS TABLE (status text, learned boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    given public.waiting_feedback;
BEGIN
    IF report_feedback.request_id IS NULL THEN
        RAISE EXCEPTION 'request_id: found NULL, expected a UUID' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF report_feedback.success IS NULL AND report_feedback.reward IS NULL THEN
        RAISE EXCEPTION 'success, reward: found neither, expected one of them or both' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF report_feedback.reward IS NOT NULL AND NOT report_feedback.reward BETWEEN 0 AND 1 THEN
        RAISE EXCEPTION 'reward: found %, expected a number from 0 to 1', report_feedback.reward
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF length(report_feedback.comment) > 2000 THEN
        RAISE EXCEPTION 'comment: found % characters, expected at most 2000', length(report_feedback.comment)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF length(report_feedback.user_id) > 200 THEN
        RAISE EXCEPTION 'user_id: found % characters, expected at most 200', length(report_feedback.user_id)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    given.request_id := report_feedback.request_id;
    given.reported_at := clock_timestamp();
    given.success := coalesce(report_feedback.success, report_feedback.reward >= 0.5);
    given.reward := report_feedback.reward;
    given.user_id := report_feedback.user_id;
    given.comment := report_feedback.comment;
    RETURN QUERY SELECT applied.status, applied.learned FROM centralcloud.apply_feedback(given) AS applied;
    IF NOT FOUND THEN
        -- The first of several waits; a later one is a repetition, or comes after the outcome.
        INSERT INTO public.waiting_feedback VALUES (given.*) ON CONFLICT (request_id) DO NOTHING;
        RETURN QUERY SELECT 'waiting'::text, NULL::boolean;
    END IF;
END
$$;
COMMENT ON FUNCTION centralcloud.report_feedback IS
    'reports feedback on a request: learned (it is the outcome), stored (only kept), ignored (other feedback was learned), waiting (the request is not known yet)';
REVOKE ALL ON FUNCTION centralcloud.report_feedback FROM PUBLIC;
