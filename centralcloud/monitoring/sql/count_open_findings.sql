-- The number of open findings of each kind, and the largest share of the fleet's traffic that one of them concerns. Served by
-- idx_findings_open.
SELECT kind, count(*) AS number, max(traffic_share) AS traffic_share FROM public.findings WHERE closed_at IS NULL GROUP BY kind;
