DROP FUNCTION centralcloud.submit_feedback;
DROP INDEX idx_waiting_feedback_key_id;
ALTER TABLE waiting_feedback DROP COLUMN tried_at, DROP COLUMN key_id;

DO $$
DECLARE worker text;
BEGIN
    FOR worker IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'centralcloud.drop_expired_partition(interval)'::regprocedure
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT SELECT ON configuration_entries, configuration_history TO %s', worker);
        EXECUTE format('GRANT EXECUTE ON FUNCTION centralcloud.configuration_since TO %s', worker);
    END LOOP;
END
$$;
