-- Records that a daemon has looked at the server's clock. One row.
INSERT INTO public.server_clock AS c (seen_at) VALUES (%(now)s)
ON CONFLICT (only_row) DO UPDATE SET seen_at = greatest(c.seen_at, excluded.seen_at);
