-- Deletes some ids of decisions that are older than the resend window. Served by the BRIN index on created_at.
DELETE FROM decision_ids
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM decision_ids WHERE created_at < now() - %(window)s::interval LIMIT %(limit)s
));
