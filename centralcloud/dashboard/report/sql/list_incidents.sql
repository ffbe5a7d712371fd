-- Findings that were open at some moment of a time, the newest 500. Served by idx_findings_opened_at.
SELECT finding_id, kind, subject, message, details::text AS details, traffic_share, opened_at, seen_at, closed_at
FROM (
    SELECT * FROM public.findings
    WHERE opened_at < %(until)s AND (closed_at IS NULL OR closed_at >= %(since)s)
    ORDER BY opened_at DESC, finding_id DESC
    LIMIT 500
) AS newest
ORDER BY opened_at, finding_id;
