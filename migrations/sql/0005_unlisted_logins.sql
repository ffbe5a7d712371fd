-- Revision 0005: a login of single instances speaks for none where instance_logins does not list it, and nobody sends what is
-- far too large for an event. Expands only: functions are replaced, with the same signatures.

-- A login that was made after the backup that has been restored is in the server, and not in the restored table. So is one that
-- was renamed, or made for another database of the server. Its comment tells it from a login that speaks for any: it is in the
-- server, too, stays with the role when that is renamed, and the role itself may not change it.
CREATE OR REPLACE FUNCTION centralcloud.own_instances() RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
-- session_user: who has logged in, whatever roles are set since. Both queries are served by primary keys, and planned once a
-- session: every call of an instance waits for this.
DECLARE
    own text[] := (
        SELECT array_agg(instance_id::text ORDER BY instance_id) FROM public.instance_logins WHERE role_name = session_user::text
    );
BEGIN
    IF own IS NULL AND EXISTS (
        SELECT FROM pg_shdescription
        WHERE objoid = quote_ident(session_user)::regrole AND classoid = 'pg_authid'::regclass
          AND description LIKE '%centralcloud grants --instance%'
    ) THEN
        RETURN '{}';
    END IF;
    RETURN own;
END
$$;
COMMENT ON FUNCTION centralcloud.own_instances IS 'the instances that this login may speak for; null: any';
COMMENT ON TABLE instance_logins IS
    'roles that may send and acknowledge for these instances only; `centralcloud grants --instance` writes it, and a comment on the role that lets it speak for none where it is not listed';

CREATE OR REPLACE FUNCTION centralcloud.refuse_instance(field text, instance_id text, own text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found text := coalesce(to_json(left(instance_id, 80))::text, 'nothing');
BEGIN
    IF own = '{}' THEN
        RAISE EXCEPTION '%: found %, expected none: the login % is listed for no instance here', field, found,
            session_user
            USING ERRCODE = 'insufficient_privilege',
                HINT = 'As the owner of the tables: centralcloud grants --instance ID --apply, with --login if it was given a name.';
    END IF;
    RAISE EXCEPTION '%: found %, expected %: the login % speaks for no other instance', field, found,
        (SELECT string_agg(to_json(name)::text, ' or ') FROM unnest(own) AS name), session_user
        USING ERRCODE = 'insufficient_privilege';
END
$$;

-- What is larger than the contract allows (256 KiB) is put aside when it is taken in. But it is stored until then, and as a dead
-- letter afterwards: what could not be an event by any count is not let in. jsonb is up to ten times as large as its text.
CREATE FUNCTION centralcloud.is_too_large(event jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN pg_column_size(event) > 4194304;
COMMENT ON FUNCTION centralcloud.is_too_large IS 'more than 4 MB as PostgreSQL keeps it';

CREATE FUNCTION centralcloud.refuse_size(field text, event jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '%: found % as jsonb, expected at most 4096 kB', field, pg_size_pretty(pg_column_size(event)::bigint)
        USING ERRCODE = 'program_limit_exceeded';
END
$$;
COMMENT ON FUNCTION centralcloud.refuse_size IS 'how the functions of instances refuse what is too large for an event';

CREATE OR REPLACE FUNCTION centralcloud.publish_decision(event jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own text[] := centralcloud.own_instances();
BEGIN
    IF own IS NOT NULL AND (event ->> 'instance_id' = ANY (own)) IS NOT TRUE THEN
        PERFORM centralcloud.refuse_instance('instance_id', event ->> 'instance_id', own);
    END IF;
    IF centralcloud.is_too_large(event) THEN
        PERFORM centralcloud.refuse_size('event', event);
    END IF;
    RETURN (SELECT sent FROM pgmq.send('model_routing_decisions', event) AS sent);
END
$$;

CREATE OR REPLACE FUNCTION centralcloud.publish_decisions(events jsonb[], hint boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own text[] := centralcloud.own_instances();
    other record;
    sent bigint := 0;
BEGIN
    IF own IS NOT NULL THEN
        SELECT n - 1 AS place, event ->> 'instance_id' AS instance_id INTO other
        FROM unnest(events) WITH ORDINALITY AS batch (event, n)
        WHERE (event ->> 'instance_id' = ANY (own)) IS NOT TRUE
        ORDER BY n LIMIT 1;
        IF FOUND THEN
            PERFORM centralcloud.refuse_instance(format('events[%s].instance_id', other.place), other.instance_id, own);
        END IF;
    END IF;
    SELECT n - 1 AS place, event INTO other
    FROM unnest(events) WITH ORDINALITY AS batch (event, n)
    WHERE centralcloud.is_too_large(event)
    ORDER BY n LIMIT 1;
    IF FOUND THEN
        PERFORM centralcloud.refuse_size(format('events[%s]', other.place), other.event);
    END IF;
    IF cardinality(events) > 0 THEN
        SELECT count(*) INTO sent FROM pgmq.send_batch('model_routing_decisions', events);
        IF hint THEN
            PERFORM pg_notify('centralcloud_decisions', '');
        END IF;
    END IF;
    RETURN sent;
END
$$;

REVOKE ALL ON FUNCTION centralcloud.is_too_large, centralcloud.refuse_size FROM PUBLIC;

-- What instances call names the schema of everything outside pg_catalog. In `public` somebody might have an operator of their own
-- that fits better than PostgreSQL's, such as varchar = text, and that would run as the owner.
ALTER FUNCTION centralcloud.score_updates_since(bigint) SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION centralcloud.current_scores() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION centralcloud.acknowledge(text, bigint) SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION centralcloud.epoch() SET search_path = pg_catalog, pg_temp;
