-- Revision 0011: partitions that sidestep other tables, and the server's clock as the daemons have seen it.
-- Expands only: workers of revision 0010 go on beside it.

CREATE TABLE server_clock (
    only_row        boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seen_at         timestamptz,
    retention_as_of timestamptz,
    jumped_at       timestamptz,
    jump_seconds    double precision,
    steady_from     timestamptz
);
INSERT INTO server_clock DEFAULT VALUES;
COMMENT ON TABLE server_clock IS 'the server''s clock as the daemons have seen it: retention deletes nothing after a jump. One row';
COMMENT ON COLUMN server_clock.seen_at IS 'the server''s time when a daemon last looked, about once a minute';
COMMENT ON COLUMN server_clock.retention_as_of IS 'the time from which the last round of retention counted back';
COMMENT ON COLUMN server_clock.jumped_at IS 'the server''s time at the newest jump of its clock; null: none was seen';
COMMENT ON COLUMN server_clock.jump_seconds IS 'how far the clock jumped, negative: back';
COMMENT ON COLUMN server_clock.steady_from IS 'retention waits until this time; null: it does not wait';

-- A role that may drop partitions is a worker: it may use the new table from now on. A role that may read the leases shows
-- the state of the fleet: it may read the new table.
DO $$
DECLARE worker text; reader text;
BEGIN
    FOR reader IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid = 'leases'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT ON server_clock TO %s', reader);
    END LOOP;
    FOR worker IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'centralcloud.drop_expired_partition(interval)'::regprocedure
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON server_clock TO %s', worker);
    END LOOP;
END
$$;
