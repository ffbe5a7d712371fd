-- The database, role and server version of this connection. One row.
SELECT
    current_database() AS database, current_user AS role, current_setting('server_version_num')::int AS version_number;
