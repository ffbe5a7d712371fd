-- Work that one replica does for all, and which one. One row a kind of work, by the primary key.
SELECT name, holder, expires_at, expires_at > now() AS is_held FROM public.leases ORDER BY name LIMIT 100;
