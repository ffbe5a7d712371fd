-- Waits until no replica does maintenance; none starts until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('centralcloud.maintenance'));
