CREATE OR REPLACE FUNCTION centralcloud.settle_feedback(request_ids uuid[] DEFAULT NULL) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
-- Applies the feedback that waits for these requests, or for any, at most 10,000. Returns how many. Served by the primary key, or
-- by the index on reported_at. Feedback that another transaction applies is left to it.
DECLARE
    given public.waiting_feedback;
    settled integer := 0;
BEGIN
    FOR given IN
        SELECT w.* FROM public.waiting_feedback w
        WHERE settle_feedback.request_ids IS NULL OR w.request_id = ANY (settle_feedback.request_ids)
        ORDER BY w.reported_at LIMIT 10000
        FOR UPDATE SKIP LOCKED
    LOOP
        PERFORM FROM centralcloud.apply_feedback(given);
        IF FOUND THEN
            DELETE FROM public.waiting_feedback w WHERE w.request_id = given.request_id;
            settled := settled + 1;
        END IF;
    END LOOP;
    RETURN settled;
END
$$;
COMMENT ON FUNCTION centralcloud.settle_feedback IS 'applies feedback that waited for its records; ingest and maintenance call it';
REVOKE ALL ON FUNCTION centralcloud.settle_feedback FROM PUBLIC;
