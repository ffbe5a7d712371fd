-- The client in this database that has held a snapshot for longest, if there is one. Reads views that every role may read.
SELECT
    extract(epoch FROM clock_timestamp() - xact_start)::double precision AS seconds,
    concat_ws(', ', 'process ' || pid, nullif(application_name, ''), usename, state) AS holder
FROM pg_stat_activity
WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    AND datname = current_database()
ORDER BY xact_start LIMIT 1;
