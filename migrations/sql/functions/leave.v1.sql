CREATE OR REPLACE FUNCTION centralcloud.leave(instance_id text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    own text[] := centralcloud.own_instances();
BEGIN
    IF leave.instance_id IS NULL OR length(leave.instance_id) NOT BETWEEN 1 AND 200 THEN
        RAISE EXCEPTION 'instance_id: found %, expected a string of 1 to 200 characters', quote_nullable(left(leave.instance_id, 80))
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF own IS NOT NULL AND NOT leave.instance_id = ANY (own) THEN
        PERFORM centralcloud.refuse_instance('instance_id', leave.instance_id, own);
    END IF;
    -- Served by the primary key. An instance that acknowledges again is listed again.
    DELETE FROM public.instances i WHERE i.instance_id = leave.instance_id;
END
$$;
