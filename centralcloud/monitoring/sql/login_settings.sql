-- Settings of a session as it began: by the server, the database, the role or the connection string. Reads no table.
SELECT name, current_setting(name) AS value, source
FROM pg_settings
WHERE lower(name) = ANY (%(names)s::text[])
ORDER BY name;
