-- Whether pgmq is installed, as an extension or by its SQL, and whether the server offers it as an extension. Catalogs only.
SELECT
    to_regclass('pgmq.meta') IS NOT NULL AS installed,
    EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pgmq') AS offered;
