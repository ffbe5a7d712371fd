-- Releases what claim_instance has claimed.
SELECT pg_advisory_unlock(hashtext(%(claim)s), hashtext(%(instance_id)s));
