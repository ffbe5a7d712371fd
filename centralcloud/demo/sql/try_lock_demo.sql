-- Whether this session now holds the lock of the demonstration, until it ends.
SELECT pg_try_advisory_lock(hashtext('centralcloud.demo'));
