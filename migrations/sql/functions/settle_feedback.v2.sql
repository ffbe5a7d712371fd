CREATE OR REPLACE FUNCTION centralcloud.settle_feedback(request_ids uuid[] DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
-- Applies the feedback that waits for these requests. Without requests, that which was looked for longest ago, at most 1,000: a
-- request that was not found is looked for again when its feedback has waited twice as long, so that reports for requests that do
-- not exist keep no others waiting. Returns how many it applied. Served by the primary key; the table is bounded for each key.
-- Feedback that another transaction applies is left to it.
DECLARE
    given public.waiting_feedback;
    settled integer := 0;
BEGIN
    FOR given IN
        SELECT w.* FROM public.waiting_feedback w
        WHERE w.request_id = ANY (settle_feedback.request_ids)
            OR settle_feedback.request_ids IS NULL
                AND (w.tried_at IS NULL OR clock_timestamp() - w.tried_at >= w.tried_at - w.reported_at)
        ORDER BY w.tried_at NULLS FIRST, w.reported_at
        LIMIT CASE WHEN settle_feedback.request_ids IS NULL THEN 1000 ELSE 10000 END
        FOR UPDATE SKIP LOCKED
    LOOP
        PERFORM FROM centralcloud.apply_feedback(given);
        IF FOUND THEN
            DELETE FROM public.waiting_feedback w WHERE w.request_id = given.request_id;
            settled := settled + 1;
        ELSIF settle_feedback.request_ids IS NULL THEN
            UPDATE public.waiting_feedback w SET tried_at = clock_timestamp() WHERE w.request_id = given.request_id;
        END IF;
    END LOOP;
    RETURN settled;
END
$$;
COMMENT ON FUNCTION centralcloud.settle_feedback IS 'applies feedback that waited for its records; ingest and maintenance call it';
REVOKE ALL ON FUNCTION centralcloud.settle_feedback FROM PUBLIC;
