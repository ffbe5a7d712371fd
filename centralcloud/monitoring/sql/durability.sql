-- Our tables that a crash of the server empties, partitions included, and settings of the server with which a crash loses or damages
-- data. Reads catalogs only.
SELECT
    ARRAY(
        SELECT regexp_replace(c.oid::regclass::text, '^public\.', '')
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relpersistence = 'u' AND c.relkind = 'r' AND (
            nspname = 'public' AND relname = ANY (%(tables)s::text[])
            OR nspname = 'centralcloud'
            OR nspname = 'pgmq' AND relname ~ '^[qa]_model_(routing_decisions|score_updates)$'
            OR c.oid IN (SELECT relid FROM pg_partition_tree(to_regclass('public.routing_records')))
        )
        ORDER BY 1
    ) AS unlogged,
    ARRAY(
        SELECT name FROM unnest(ARRAY['fsync', 'full_page_writes']) AS name WHERE current_setting(name) = 'off'
    ) AS switched_off;
