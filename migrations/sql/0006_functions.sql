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
