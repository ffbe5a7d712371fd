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

ALTER FUNCTION centralcloud.publish_decision(jsonb) SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION centralcloud.publish_decisions(jsonb[], boolean) SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION centralcloud.score_updates_since(bigint) SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION centralcloud.current_scores() SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION centralcloud.acknowledge(text, bigint) SET search_path = pg_catalog, public, pg_temp;
ALTER FUNCTION centralcloud.epoch() SET search_path = pg_catalog, public, pg_temp;
