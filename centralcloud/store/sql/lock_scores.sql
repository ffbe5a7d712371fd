-- Whoever writes scores holds this to the end of the transaction: versions are drawn and committed in one order.
SELECT pg_advisory_xact_lock(hashtext('centralcloud.scores'));
