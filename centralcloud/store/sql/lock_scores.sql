-- Locks the scores until the transaction ends. Every writer of scores takes this lock, so that versions are committed in the
-- order in which they are drawn.
SELECT pg_advisory_xact_lock(hashtext('centralcloud.scores'));
