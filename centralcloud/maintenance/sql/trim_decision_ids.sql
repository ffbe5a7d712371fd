-- Deletes some ids of decisions that are older than the resend window. Served by the BRIN index on created_at.
DELETE FROM public.decision_ids
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM public.decision_ids WHERE created_at < now() - %(window)s::interval LIMIT %(limit)s
));
