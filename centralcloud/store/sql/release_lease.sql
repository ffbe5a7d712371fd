-- Releases a lease, if this process holds it. Served by the primary key.
DELETE FROM public.leases WHERE name = %(name)s AND holder = %(holder)s;
