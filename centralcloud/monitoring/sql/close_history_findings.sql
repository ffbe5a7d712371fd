-- Closes the finding about two histories when no daemon has confirmed it for a while. Served by idx_findings_open.
UPDATE public.findings SET closed_at = now()
WHERE closed_at IS NULL AND kind = %(kind)s AND seen_at < now() - make_interval(secs => %(seconds)s);
