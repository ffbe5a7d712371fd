-- Opens a finding, or refreshes the open one, with the number after the newest in place of the one that the sequence gives out.
-- Served by the primary key and idx_findings_open.
INSERT INTO public.findings AS f (finding_id, kind, subject, message, details)
SELECT coalesce(max(finding_id), 0) + 1, %(kind)s, %(subject)s, %(message)s, %(details)s FROM public.findings
ON CONFLICT (kind, subject) WHERE closed_at IS NULL DO UPDATE SET
    message = excluded.message, details = excluded.details, seen_at = now();
