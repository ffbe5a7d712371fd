-- Names the database: its number, and whether this role may call the function that names the cluster. Reads one row of
-- pg_database, by its index on datname.
SELECT
    current_database() AS name, oid::bigint AS number,
    has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') AS shows_cluster
FROM pg_database
WHERE datname = current_database()
