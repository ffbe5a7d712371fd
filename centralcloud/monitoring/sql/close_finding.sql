-- Closes one finding, if it is open. Served by idx_findings_open.
UPDATE public.findings SET closed_at = now() WHERE closed_at IS NULL AND kind = %(kind)s AND subject = %(subject)s;
