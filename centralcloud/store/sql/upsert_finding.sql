-- Opens a finding, or refreshes the open one. Served by idx_findings_open.
INSERT INTO public.findings AS f (kind, subject, message, details) VALUES (%(kind)s, %(subject)s, %(message)s, %(details)s)
ON CONFLICT (kind, subject) WHERE closed_at IS NULL DO UPDATE SET
    message = excluded.message, details = excluded.details, seen_at = now();
