-- Claims an instance id for this session, without a wait. The server releases the claim when the session ends.
SELECT pg_try_advisory_lock(hashtext(%(claim)s), hashtext(%(instance_id)s));
