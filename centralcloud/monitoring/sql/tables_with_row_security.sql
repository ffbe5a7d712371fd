-- Our tables of which row-level security hides rows from this role, or from their owner, as whom our functions run. Reads catalogs
-- only. Partitions are read through their parent, whose setting counts.
SELECT regexp_replace(c.oid::regclass::text, '^public\.', '')
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_roles owner ON owner.oid = c.relowner
WHERE c.relrowsecurity AND NOT c.relispartition AND c.relkind IN ('r', 'p')
  AND (
      nspname = 'public' AND relname = ANY (%(tables)s::text[])
      OR nspname = 'centralcloud'
      OR nspname = 'pgmq' AND relname ~ '^[qa]_model_(routing_decisions|score_updates)$'
  )
  AND (row_security_active(c.oid) OR c.relforcerowsecurity AND NOT (owner.rolsuper OR owner.rolbypassrls))
ORDER BY 1;
