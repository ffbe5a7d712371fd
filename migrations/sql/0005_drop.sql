-- Revision 0005, taken back. A login of single instances that is not listed may then speak for any.
CREATE OR REPLACE FUNCTION centralcloud.own_instances() RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    -- session_user: who has logged in, whatever roles are set since. Served by the primary key.
    SELECT array_agg(instance_id::text ORDER BY instance_id) FROM public.instance_logins WHERE role_name = session_user::text
$$;
COMMENT ON TABLE instance_logins IS 'roles that may send and acknowledge for these instances only; `centralcloud grants --instance` writes it';

CREATE OR REPLACE FUNCTION centralcloud.refuse_instance(field text, instance_id text, own text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '%: found %, expected %: the login % speaks for no other instance', field,
        coalesce(to_json(left(instance_id, 80))::text, 'nothing'),
        (SELECT string_agg(to_json(name)::text, ' or ') FROM unnest(own) AS name), session_user
        USING ERRCODE = 'insufficient_privilege';
END
$$;

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

DROP FUNCTION centralcloud.refuse_size(text, jsonb), centralcloud.is_too_large(jsonb);

ALTER FUNCTION centralcloud.score_updates_since(bigint) SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION centralcloud.current_scores() SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION centralcloud.acknowledge(text, bigint) SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION centralcloud.epoch() SET search_path = pg_catalog, public, pg_temp;
