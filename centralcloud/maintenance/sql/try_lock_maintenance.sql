-- Whether this transaction may do maintenance: one replica at a time.
SELECT pg_try_advisory_xact_lock(hashtext('centralcloud.maintenance'));
