-- Stores the time from which this round of retention counts back. One row.
INSERT INTO public.server_clock (retention_as_of) VALUES (%(as_of)s)
ON CONFLICT (only_row) DO UPDATE SET retention_as_of = excluded.retention_as_of;
