-- Revision 0004: roles that need no ownership, logins that speak for one instance, and which code may run on this schema.
-- Expands only: workers and instances of revision 0003 go on beside it.

-- Which code may run on this schema. One row; `migrate` writes it, from what each migration says of itself.
CREATE TABLE centralcloud.schema_compatibility (
    only_row         boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision         varchar NOT NULL,
    oldest_revision  varchar NOT NULL
);
COMMENT ON COLUMN centralcloud.schema_compatibility.revision IS 'what this row is about; of no meaning when the schema is at another';
COMMENT ON COLUMN centralcloud.schema_compatibility.oldest_revision IS 'code that knows at least this revision may run';

-- Logins that speak for some instances and no others. A login that is not listed speaks for any.
CREATE TABLE instance_logins (
    role_name    varchar NOT NULL,
    instance_id  varchar NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (role_name, instance_id)
);
COMMENT ON TABLE instance_logins IS 'roles that may send and acknowledge for these instances only; `centralcloud grants --instance` writes it';

CREATE FUNCTION centralcloud.own_instances() RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    -- session_user: who has logged in, whatever roles are set since. Served by the primary key.
    SELECT array_agg(instance_id::text ORDER BY instance_id) FROM public.instance_logins WHERE role_name = session_user::text
$$;
COMMENT ON FUNCTION centralcloud.own_instances IS 'the instances that this login may speak for; null: any';

CREATE FUNCTION centralcloud.refuse_instance(field text, instance_id text, own text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '%: found %, expected %: the login % speaks for no other instance', field,
        coalesce(to_json(left(instance_id, 80))::text, 'nothing'),
        (SELECT string_agg(to_json(name)::text, ' or ') FROM unnest(own) AS name), session_user
        USING ERRCODE = 'insufficient_privilege';
END
$$;
COMMENT ON FUNCTION centralcloud.refuse_instance IS 'how the functions of instances refuse an instance that is not the login''s own';

CREATE OR REPLACE FUNCTION centralcloud.publish_decision(event jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    own text[] := centralcloud.own_instances();
BEGIN
    IF own IS NOT NULL AND (event ->> 'instance_id' = ANY (own)) IS NOT TRUE THEN
        PERFORM centralcloud.refuse_instance('instance_id', event ->> 'instance_id', own);
    END IF;
    RETURN (SELECT sent FROM pgmq.send('model_routing_decisions', event) AS sent);
END
$$;

CREATE OR REPLACE FUNCTION centralcloud.publish_decisions(events jsonb[], hint boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
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
    IF cardinality(events) > 0 THEN
        SELECT count(*) INTO sent FROM pgmq.send_batch('model_routing_decisions', events);
        IF hint THEN
            PERFORM pg_notify('centralcloud_decisions', '');
        END IF;
    END IF;
    RETURN sent;
END
$$;

CREATE OR REPLACE FUNCTION centralcloud.acknowledge(instance_id text, applied_version bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    own text[] := centralcloud.own_instances();
BEGIN
    IF acknowledge.instance_id IS NULL OR length(acknowledge.instance_id) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'instance_id: found %, expected a string of 1 to 200 characters', quote_nullable(left(acknowledge.instance_id, 80))
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF acknowledge.applied_version IS NULL OR acknowledge.applied_version < 0 THEN
        RAISE EXCEPTION 'applied_version: found %, expected 0 or more', coalesce(acknowledge.applied_version::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF own IS NOT NULL AND NOT acknowledge.instance_id = ANY (own) THEN
        PERFORM centralcloud.refuse_instance('instance_id', acknowledge.instance_id, own);
    END IF;
    INSERT INTO public.instances (instance_id, applied_version)
    VALUES (acknowledge.instance_id, acknowledge.applied_version)
    ON CONFLICT (instance_id) DO UPDATE SET applied_version = excluded.applied_version, last_seen_at = now();
END
$$;

-- Partitions belong to the owner of the schema: workers make and drop them through these, and own nothing.
ALTER FUNCTION centralcloud.ensure_partitions(integer) SECURITY DEFINER;
ALTER FUNCTION centralcloud.drop_expired_partition(interval) SECURITY DEFINER;

REVOKE ALL ON FUNCTION centralcloud.own_instances, centralcloud.refuse_instance FROM PUBLIC;
