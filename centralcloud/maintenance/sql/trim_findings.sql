-- Forgets findings that were closed long ago; open ones stay. Served by idx_findings_opened_at: it was opened before.
DELETE FROM findings
WHERE opened_at < now() - %(retention)s::interval AND closed_at < now() - %(retention)s::interval;
