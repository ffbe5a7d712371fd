-- Records a jump of the server's clock: from now on its new time counts. One row.
INSERT INTO public.server_clock (seen_at, jumped_at, jump_seconds, steady_from)
VALUES (%(now)s, %(now)s, %(seconds)s, %(steady_from)s)
ON CONFLICT (only_row) DO UPDATE SET
    seen_at = excluded.seen_at, jumped_at = excluded.jumped_at, jump_seconds = excluded.jump_seconds,
    steady_from = excluded.steady_from;
