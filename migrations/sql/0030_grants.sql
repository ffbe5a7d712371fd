-- A role that may read the scores may read those of task types from now on. A role that may add evidence, and is not a worker, is
-- that of operators: it publishes scores, and a rollback gathers evidence.
REVOKE ALL ON FUNCTION centralcloud.current_task_scores FROM PUBLIC;
DO $$
DECLARE reader text; operator text;
BEGIN
    FOR reader IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'centralcloud.current_scores()'::regprocedure AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION centralcloud.current_task_scores TO %s', reader);
    END LOOP;
    FOR operator IN
        SELECT a.grantee::regrole::text
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid = 'evidence'::regclass AND a.privilege_type = 'INSERT' AND a.grantee <> c.relowner AND a.grantee <> 0
            AND NOT has_table_privilege(a.grantee, c.oid, 'DELETE')
    LOOP
        EXECUTE format('GRANT SELECT, INSERT ON task_types TO %s', operator);
        EXECUTE format('GRANT INSERT ON task_evidence TO %s', operator);
        EXECUTE format('GRANT UPDATE (by_task_type) ON evidence_slices TO %s', operator);
        EXECUTE format('GRANT SELECT ON model_task_scores TO %s', operator);
    END LOOP;
END
$$;
