CREATE OR REPLACE FUNCTION centralcloud.sync_rule_state() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
-- Keeps the two forms of a rule's state equal: the column `state`, the only one that workers up to revision 0005 read and
-- write, and the typed columns, which newer workers use instead. Newer workers never write `state`. So if the row is new and
-- has no `evidence_from`, or if `state` has changed, then an old worker wrote it.
-- This function alone knows the keys that old workers put into `state`. It can go when no such worker runs any more.
BEGIN
    IF NEW.evidence_from IS NULL OR (TG_OP = 'UPDATE' AND NEW.state IS DISTINCT FROM OLD.state) THEN
        NEW.evidence_from := CASE WHEN jsonb_typeof(NEW.state -> 'after_slice') = 'number'
            THEN (NEW.state ->> 'after_slice')::numeric::bigint ELSE 0 END;
        NEW.earlier_boundaries := ARRAY(
            SELECT DISTINCT (found.number #>> '{}')::numeric::bigint AS slice_no
            FROM jsonb_path_query(NEW.state, '$.**.after_slice ? (@.type() == "number")') AS found (number)
            WHERE (found.number #>> '{}')::numeric <> NEW.evidence_from
            ORDER BY slice_no
        );
        NEW.excluded_instances := CASE WHEN jsonb_typeof(NEW.state -> 'excluded') = 'array'
            THEN ARRAY(SELECT jsonb_array_elements_text(NEW.state -> 'excluded')) ELSE '{}' END;
        -- A pair that was reset, or that migration 0003 found, has no `from` or `parts`.
        NEW.recomputable := NEW.state ? 'from' OR NEW.state ? 'parts'
            OR (NEW.rule NOT IN ('threshold', 'adaptive') AND NEW.state <> '{}');
        NEW.state_payload := NEW.state - 'after_slice' - 'excluded';
    ELSIF TG_OP = 'INSERT'
        OR (NEW.evidence_from, NEW.excluded_instances, NEW.recomputable, NEW.state_payload)
            IS DISTINCT FROM (OLD.evidence_from, OLD.excluded_instances, OLD.recomputable, OLD.state_payload) THEN
        NEW.state := CASE WHEN NEW.recomputable THEN NEW.state_payload ELSE NEW.state_payload - 'from' - 'parts' END
            || jsonb_build_object('after_slice', NEW.evidence_from, 'excluded', NEW.excluded_instances);
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION centralcloud.sync_rule_state IS 'trigger: keeps `state`, for workers up to revision 0005, and the typed columns of a rule''s state equal';
