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

COMMENT ON FUNCTION centralcloud.publish_decisions IS
    'puts a batch of routing events on the queue; returns how many. hint: wake the consumers now; at most some ten times a second, NOTIFY makes committers wait for each other';
