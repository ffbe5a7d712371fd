-- A role that may report feedback is a gateway or a worker: it may read the trained classifier from now on. A role that may drop
-- partitions is a worker: it may store one, and choose which is used.
REVOKE ALL ON FUNCTION centralcloud.task_classifier_in_use, centralcloud.task_classifier_model FROM PUBLIC;
DO $$
DECLARE reporter text; worker text;
BEGIN
    FOR reporter IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.pronamespace = 'centralcloud'::regnamespace AND p.proname = 'report_feedback'
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION centralcloud.task_classifier_in_use, centralcloud.task_classifier_model TO %s', reporter
        );
    END LOOP;
    FOR worker IN
        SELECT a.grantee::regrole::text
        FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
        WHERE p.oid = 'centralcloud.drop_expired_partition(interval)'::regprocedure
            AND a.grantee <> p.proowner AND a.grantee <> 0
    LOOP
        EXECUTE format(
            'GRANT SELECT, INSERT, UPDATE, DELETE ON task_classifiers, task_classifier_choices TO %s', worker
        );
    END LOOP;
END
$$;
