CREATE OR REPLACE FUNCTION centralcloud.acknowledge(instance_id text, applied_version bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
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
