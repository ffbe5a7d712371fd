-- Revision 0027, taken back. Routers draw from n_eff again.
CREATE TEMPORARY TABLE readers_of_scores ON COMMIT DROP AS
SELECT a.grantee::regrole::text AS role
FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
WHERE p.oid = 'centralcloud.current_scores()'::regprocedure AND a.grantee <> p.proowner AND a.grantee <> 0;
DROP FUNCTION centralcloud.current_scores();
CREATE FUNCTION centralcloud.current_scores()
RETURNS TABLE (
    model_name varchar, complexity_level varchar, score numeric, version bigint, updated_at timestamptz, reason text,
    mean double precision, n_eff double precision, probe_share double precision
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT model_name, complexity_level, score, version, updated_at, reason, mean, n_eff, probe_share FROM public.model_scores
$$;
COMMENT ON FUNCTION centralcloud.current_scores IS 'every learned score with its version: what an instance reads at its start and now and then';
REVOKE ALL ON FUNCTION centralcloud.current_scores() FROM PUBLIC;
DO $$
DECLARE reader text;
BEGIN
    FOR reader IN SELECT role FROM readers_of_scores LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION centralcloud.current_scores() TO %s', reader);
    END LOOP;
END
$$;
DROP TABLE readers_of_scores;

DROP TRIGGER forget_draw_n ON model_scores;
DROP TRIGGER forget_draw_n ON rule_scores;
DROP FUNCTION centralcloud.forget_draw_n();
ALTER TABLE model_scores DROP COLUMN draw_n;
ALTER TABLE model_score_history DROP COLUMN draw_n;
ALTER TABLE rule_scores DROP COLUMN draw_n;
