-- Who else holds a snapshot of this database, and since when is not for this role to see. PostgreSQL shows everybody that
-- there is one (backend_xmin), and its beginning only to the role itself and to pg_read_all_stats.
SELECT
    pid || ' at ' || backend_xmin AS snapshot,
    concat_ws(', ', 'process ' || pid, nullif(application_name, ''), usename) AS of
FROM pg_stat_activity
WHERE backend_xmin IS NOT NULL AND backend_type IS NULL AND usename IS NOT NULL AND datname = current_database()
ORDER BY age(backend_xmin) DESC;
