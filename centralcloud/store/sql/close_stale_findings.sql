-- Closes the findings of a kind that no process has confirmed for some time: it was killed, or the cause is over. Served by
-- idx_findings_open.
UPDATE public.findings SET closed_at = now()
WHERE closed_at IS NULL AND kind = %(kind)s AND seen_at < now() - make_interval(secs => %(seconds)s);
