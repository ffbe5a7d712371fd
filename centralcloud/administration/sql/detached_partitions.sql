-- Tables with rows and with the name of a partition of routing_records that are not attached to it. Looks at catalogs only.
SELECT c.relname::text
FROM pg_class c
WHERE c.relnamespace = to_regnamespace('public') AND c.relkind = 'r' AND pg_relation_size(c.oid) > 0
  AND c.relname ~ '^routing_records_\d{4}w\d{2}(_\d+)?$'
  AND NOT EXISTS (
      SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid AND i.inhparent = to_regclass('public.routing_records')
  )
ORDER BY c.relname;
