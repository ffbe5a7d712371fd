-- Whether this transaction may do maintenance: true for one transaction at a time.
SELECT pg_try_advisory_xact_lock(hashtext('centralcloud.maintenance'));
