-- The functions of revision 0006. A later revision that replaces one runs this file again in its downgrade.

CREATE OR REPLACE FUNCTION centralcloud.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '%: found %, expected INSERT or SELECT: the table is append-only', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;
COMMENT ON FUNCTION centralcloud.refuse_change IS 'trigger of append-only tables';
REVOKE ALL ON FUNCTION centralcloud.refuse_change FROM PUBLIC;

-- As its owner, so that a role which may add rows needs no right to the sequence. session_user is the role that logged in.
CREATE OR REPLACE FUNCTION centralcloud.stamp_action() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.id := nextval('public.operator_actions_id_seq');
    NEW.at := clock_timestamp();
    NEW.who := NEW.who || ' as ' || session_user;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION centralcloud.stamp_action IS 'trigger of operator_actions: id, time and database role are not for the client to say';
REVOKE ALL ON FUNCTION centralcloud.stamp_action FROM PUBLIC;
