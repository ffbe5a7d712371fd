-- For the rest of the transaction: a check that waits for a lock reports the lock instead of a server that does not answer.
SET LOCAL lock_timeout = '2s';
