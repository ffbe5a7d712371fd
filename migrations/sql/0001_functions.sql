-- Revision 0001: what instances in any language call, and what maintenance calls.
-- Instances need no right but USAGE on the schema and EXECUTE on these: they run as their owner, with a fixed search_path.
-- Bodies are text, not BEGIN ATOMIC: the latter would make them dependents of pgmq's objects and stop its upgrades.

CREATE FUNCTION centralcloud.publish_decision(event jsonb) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT pgmq.send('model_routing_decisions', event) $$;

COMMENT ON FUNCTION centralcloud.publish_decision IS 'puts one routing event on the queue; returns its message id';

CREATE FUNCTION centralcloud.publish_decisions(events jsonb[], hint boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    sent bigint := 0;
BEGIN
    IF cardinality(events) > 0 THEN
        SELECT count(*) INTO sent FROM pgmq.send_batch('model_routing_decisions', events);
        IF hint THEN
            PERFORM pg_notify('centralcloud_decisions', '');
        END IF;
    END IF;
    RETURN sent;
END
$$;

COMMENT ON FUNCTION centralcloud.publish_decisions IS
    'puts a batch of routing events on the queue; returns how many. hint: wake the consumers now; at most some ten times a second, NOTIFY makes committers wait for each other';

CREATE FUNCTION centralcloud.score_updates_since(cursor bigint)
RETURNS TABLE (msg_id bigint, enqueued_at timestamptz, message jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    -- Served by the queue's primary key. Peeks: a message stays until maintenance trims it.
    SELECT q.msg_id, q.enqueued_at, q.message
    FROM pgmq.q_model_score_updates q
    WHERE q.msg_id > score_updates_since.cursor
    ORDER BY q.msg_id
    LIMIT 1000
$$;

COMMENT ON FUNCTION centralcloud.score_updates_since IS
    'score updates after message id `cursor`, oldest first, at most 1,000: call again with the last msg_id until it returns none';

CREATE FUNCTION centralcloud.current_scores()
RETURNS TABLE (
    model_name varchar, complexity_level varchar, score numeric, version bigint, updated_at timestamptz, reason text
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT model_name, complexity_level, score, version, updated_at, reason FROM public.model_scores $$;

COMMENT ON FUNCTION centralcloud.current_scores IS 'every learned score with its version: what an instance reads at its start and now and then';

CREATE FUNCTION centralcloud.acknowledge(instance_id text, applied_version bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF acknowledge.instance_id IS NULL OR length(acknowledge.instance_id) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'instance_id: found %, expected a string of 1 to 200 characters', quote_nullable(left(acknowledge.instance_id, 80))
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF acknowledge.applied_version IS NULL OR acknowledge.applied_version < 0 THEN
        RAISE EXCEPTION 'applied_version: found %, expected 0 or more', coalesce(acknowledge.applied_version::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO public.instances (instance_id, applied_version)
    VALUES (acknowledge.instance_id, acknowledge.applied_version)
    ON CONFLICT (instance_id) DO UPDATE SET applied_version = excluded.applied_version, last_seen_at = now();
END
$$;

COMMENT ON FUNCTION centralcloud.acknowledge IS 'reports the newest score version that an instance has applied (0: none yet), and that it lives';

CREATE FUNCTION centralcloud.epoch() RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    cluster text;
    timeline text;
BEGIN
    -- Both may be forbidden on managed servers; the rest still tells one database from another.
    BEGIN
        SELECT system_identifier::text INTO cluster FROM pg_control_system();
    EXCEPTION WHEN insufficient_privilege THEN
        cluster := '?';
    END;
    BEGIN
        timeline := CASE WHEN pg_is_in_recovery() THEN '?' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END;
    EXCEPTION WHEN insufficient_privilege THEN
        timeline := '?';
    END;
    RETURN concat_ws('/', cluster, timeline,
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        (SELECT generation FROM public.database_generation));
END
$$;

COMMENT ON FUNCTION centralcloud.epoch IS
    'names this history of this database; when it differs from what an instance remembers, its cursor and versions mean nothing any more';

CREATE FUNCTION centralcloud.ensure_partitions(weeks_ahead integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
-- Makes the partitions of routing_records from this week to `weeks_ahead` weeks from now; returns how many were new.
-- A table is made on the side and attached, which unlike CREATE TABLE ... PARTITION OF does not wait for writers.
DECLARE
    first_week timestamp := date_trunc('week', now() AT TIME ZONE 'UTC');
    week timestamp;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('centralcloud.ensure_partitions'));
    FOR ahead IN 0..weeks_ahead LOOP
        week := first_week + ahead * interval '1 week';
        name := 'routing_records_' || to_char(week, 'IYYY"w"IW');
        CONTINUE WHEN EXISTS (
            SELECT FROM pg_inherits WHERE inhparent = 'public.routing_records'::regclass AND inhrelid = to_regclass('public.' || name)
        );
        EXECUTE format('CREATE TABLE public.%I (LIKE public.routing_records INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
        EXECUTE format('ALTER TABLE public.routing_records ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
            name, week AT TIME ZONE 'UTC', (week + interval '1 week') AT TIME ZONE 'UTC');
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA centralcloud FROM PUBLIC;
