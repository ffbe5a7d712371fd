-- Open findings by their share of the fleet's traffic, those of unknown share first. Served by idx_findings_open.
SELECT finding_id, kind, subject, message, details::text AS details, traffic_share, opened_at, seen_at, closed_at
FROM public.findings
WHERE closed_at IS NULL
ORDER BY traffic_share DESC NULLS FIRST, opened_at DESC, finding_id DESC
LIMIT 500;
