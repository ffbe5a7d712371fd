-- Findings, newest first; of every kind when the kind is null. Open ones are served by idx_findings_open. Closed ones are
-- read from the whole table, which holds no more than their retention.
SELECT finding_id, kind, subject, message, details, opened_at, seen_at, closed_at
FROM findings
WHERE (%(with_closed)s OR closed_at IS NULL)
  AND (%(kind)s::text IS NULL OR kind = %(kind)s)
ORDER BY opened_at DESC, finding_id DESC;
