-- The number of open findings of each kind. Served by idx_findings_open.
SELECT kind, count(*) AS number FROM findings WHERE closed_at IS NULL GROUP BY kind;
