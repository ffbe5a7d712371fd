-- Revision 0005: a login of single instances speaks for none where instance_logins does not list it.
-- Expands only: functions are replaced, with the same signatures.

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

-- What instances call names the schema of everything outside pg_catalog. In `public` somebody might have an operator of their own
-- that fits better than PostgreSQL's, such as varchar = text, and that would run as the owner.
ALTER FUNCTION centralcloud.publish_decision(jsonb) SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION centralcloud.publish_decisions(jsonb[], boolean) SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION centralcloud.score_updates_since(bigint) SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION centralcloud.current_scores() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION centralcloud.acknowledge(text, bigint) SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION centralcloud.epoch() SET search_path = pg_catalog, pg_temp;
