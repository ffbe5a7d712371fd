-- Findings, newest first. A kind that is null takes all. Open ones are served by idx_findings_open; the others are as many as
-- their retention.
SELECT finding_id, kind, subject, message, details, opened_at, seen_at, closed_at
FROM findings
WHERE (%(with_closed)s OR closed_at IS NULL)
  AND (%(kind)s::text IS NULL OR kind = %(kind)s)
ORDER BY opened_at DESC, finding_id DESC;
