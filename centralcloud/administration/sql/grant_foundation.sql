-- May be run again: nothing changes then. Run it again after `centralcloud migrate`: new tables need new rights.
SET LOCAL search_path = public, pg_temp;

-- Nobody but the owner makes objects where the functions of CentralCloud look for theirs (PostgreSQL 14 lets everybody), or
-- temporary tables, which fill the disk as well.
DO $$
DECLARE
    owner regrole := (SELECT relowner::regrole FROM pg_class WHERE oid = 'public.routing_records'::regclass);
BEGIN
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA public TO %s', owner);
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %s', current_database(), owner);
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
END
$$;
