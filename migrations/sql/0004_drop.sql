-- Revision 0004, taken back. Roles and their rights stay; a login of one instance may then speak for any.
ALTER FUNCTION centralcloud.ensure_partitions(integer) SECURITY INVOKER;
ALTER FUNCTION centralcloud.drop_expired_partition(interval) SECURITY INVOKER;

CREATE OR REPLACE FUNCTION centralcloud.publish_decision(event jsonb) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT pgmq.send('model_routing_decisions', event) $$;

CREATE OR REPLACE FUNCTION centralcloud.publish_decisions(events jsonb[], hint boolean DEFAULT false) RETURNS bigint
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

CREATE OR REPLACE FUNCTION centralcloud.acknowledge(instance_id text, applied_version bigint) RETURNS void
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

DROP FUNCTION centralcloud.refuse_instance, centralcloud.own_instances;
DROP TABLE instance_logins, centralcloud.schema_compatibility;
