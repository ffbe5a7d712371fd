-- Snapshots of other roles, oldest first, whose age this role cannot see. PostgreSQL shows to every role that a snapshot
-- exists (backend_xmin), but its age only to the role that holds it and to members of pg_read_all_stats.
SELECT
    pid || ' at ' || backend_xmin AS snapshot,
    concat_ws(', ', 'process ' || pid, nullif(application_name, ''), usename) AS holder
FROM pg_stat_activity
WHERE backend_xmin IS NOT NULL AND backend_type IS NULL AND usename IS NOT NULL AND datname = current_database()
ORDER BY age(backend_xmin) DESC;
