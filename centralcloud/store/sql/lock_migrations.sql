-- Waits until no other transaction migrates, and keeps others from it until this one ends. From then on no lock is waited for
-- longer than 3 s: ingest would queue up behind a migration that waits. The migration starts again instead.
SET LOCAL search_path = public;
SET LOCAL idle_in_transaction_session_timeout = 0;
SELECT pg_advisory_xact_lock(hashtext('centralcloud.migrate'));
CREATE SCHEMA IF NOT EXISTS centralcloud;
SET LOCAL lock_timeout = '3s';
