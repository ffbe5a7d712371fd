-- Findings: open ones by their share of the fleet's traffic, those of unknown share first, then closed ones, each newest first;
-- of every kind when the kind is null. Open ones are served by idx_findings_open. Closed ones are read from the whole table,
-- which holds no more than their retention.
SELECT finding_id, kind, subject, message, details, traffic_share, opened_at, seen_at, closed_at
FROM public.findings
WHERE (%(with_closed)s OR closed_at IS NULL)
  AND (%(kind)s::text IS NULL OR kind = %(kind)s)
ORDER BY
    closed_at IS NOT NULL, CASE WHEN closed_at IS NULL THEN traffic_share END DESC NULLS FIRST, opened_at DESC,
    finding_id DESC;
