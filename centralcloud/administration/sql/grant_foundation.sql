-- Safe to run again. Necessary after `centralcloud migrate`: new tables need new rights.
SET LOCAL search_path = public, pg_temp;

-- Only the owner creates objects where the functions of CentralCloud look for theirs (PostgreSQL 14 allows every role), or
-- temporary tables, which can fill the disk.
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
