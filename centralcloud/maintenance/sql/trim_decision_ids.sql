-- Deletes some ids of decisions that are older than the resend window, which counts back from the caller's moment or from the
-- arrival of the newest record. Served by the BRIN index on created_at.
DELETE FROM public.decision_ids
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM public.decision_ids
    WHERE created_at < (
        SELECT least(%(as_of)s, (SELECT created_at FROM public.routing_records ORDER BY id DESC LIMIT 1)) - %(window)s::interval
    )
    LIMIT %(limit)s
));
