BEGIN
    DELETE FROM public.instance_logins WHERE role_name = {name} AND instance_id = {instance_id};
    -- A login may speak for other instances, too; and a role that does not exist has nothing to revoke.
    IF EXISTS (SELECT FROM public.instance_logins WHERE role_name = {name})
        OR NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN
        RETURN;
    END IF;
{leave_roles};
    IF has_schema_privilege({name}, 'centralcloud', 'USAGE')
        AND has_function_privilege({name}, 'centralcloud.publish_decision(jsonb)', 'EXECUTE') THEN
        RAISE EXCEPTION 'the role % can still publish, by a right that was granted in another way: no longer listed, it would '
            'speak for any instance; revoke that right first', {name};
    END IF;
    IF EXISTS (
        SELECT FROM pg_roles WHERE rolname = {name} AND shobj_description(oid, 'pg_authid') = {mark}
    ) THEN
        DROP ROLE {role};
    END IF;
END
