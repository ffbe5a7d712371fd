-- Revision 0027: the number of outcomes that routers draw from. Expands only.
ALTER TABLE model_scores ADD COLUMN draw_n double precision;
ALTER TABLE model_score_history ADD COLUMN draw_n double precision;
ALTER TABLE rule_scores ADD COLUMN draw_n double precision;

CREATE TRIGGER forget_draw_n BEFORE UPDATE ON model_scores FOR EACH ROW
WHEN (NEW.draw_n = OLD.draw_n AND NEW.n_eff IS DISTINCT FROM OLD.n_eff) EXECUTE FUNCTION centralcloud.forget_draw_n();
CREATE TRIGGER forget_draw_n BEFORE UPDATE ON rule_scores FOR EACH ROW
WHEN (NEW.draw_n = OLD.draw_n AND NEW.n_eff IS DISTINCT FROM OLD.n_eff) EXECUTE FUNCTION centralcloud.forget_draw_n();

-- One column more than before, at the end.
CREATE TEMPORARY TABLE readers_of_scores ON COMMIT DROP AS
SELECT a.grantee::regrole::text AS role
FROM pg_proc p CROSS JOIN LATERAL aclexplode(p.proacl) AS a
WHERE p.oid = 'centralcloud.current_scores()'::regprocedure AND a.grantee <> p.proowner AND a.grantee <> 0;
DROP FUNCTION centralcloud.current_scores();
CREATE FUNCTION centralcloud.current_scores()
RETURNS TABLE (
    model_name varchar, complexity_level varchar, score numeric, version bigint, updated_at timestamptz, reason text,
    mean double precision, n_eff double precision, probe_share double precision, draw_n double precision
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT model_name, complexity_level, score, version, updated_at, reason, mean, n_eff, probe_share, draw_n
    FROM public.model_scores
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
