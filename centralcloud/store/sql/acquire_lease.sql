-- Acquires a lease or renews it; returns no row while another process holds it. A lease that expires much later than one could
-- was acquired by a clock that was ahead: it counts as expired. Served by the primary key.
INSERT INTO public.leases AS l (name, holder, expires_at)
VALUES (%(name)s, %(holder)s, clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
WHERE l.holder = excluded.holder OR l.expires_at < clock_timestamp()
    OR l.expires_at > clock_timestamp() + make_interval(secs => 10 * %(seconds)s) + interval '1 hour'
RETURNING true;
