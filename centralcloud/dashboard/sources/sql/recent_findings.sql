-- Findings that were opened or closed within 31 days, and those that are open: the newest 2,000 by their opening. Served by
-- idx_findings_opened_at, backwards; findings that were closed longer ago are kept for their retention, and skipped.
SELECT finding_id, kind, subject, message, details::text AS details, traffic_share, opened_at, seen_at, closed_at
FROM public.findings
WHERE closed_at IS NULL OR closed_at > now() - interval '31 days'
ORDER BY opened_at DESC, finding_id DESC
LIMIT 2000;
