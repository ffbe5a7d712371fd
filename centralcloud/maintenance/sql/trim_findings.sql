-- Deletes findings that were closed long ago; open ones are kept. Served by idx_findings_opened_at, because a finding that
-- was closed long ago was opened before that.
DELETE FROM public.findings
WHERE opened_at < %(as_of)s - %(retention)s::interval AND closed_at < %(as_of)s - %(retention)s::interval;
