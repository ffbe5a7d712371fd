CREATE OR REPLACE FUNCTION centralcloud.report_feedback(
    request_id uuid,
    success boolean DEFAULT NULL,
    reward double precision DEFAULT NULL,
    comment text DEFAULT NULL,
    user_id text DEFAULT NULL
)
RETURNS TABLE (status text, learned boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT submitted.status, submitted.learned
    FROM centralcloud.submit_feedback(
        report_feedback.request_id, report_feedback.success, report_feedback.reward, report_feedback.comment,
        report_feedback.user_id, NULL, NULL
    ) AS submitted
$$;
COMMENT ON FUNCTION centralcloud.report_feedback IS
    'reports feedback on a request: learned (it is the outcome), stored (only kept), ignored (other feedback was learned), waiting (the request is not known yet), refused (too much waits)';
REVOKE ALL ON FUNCTION centralcloud.report_feedback FROM PUBLIC;
