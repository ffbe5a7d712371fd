-- How many findings of each kind are open. Served by idx_findings_open.
SELECT kind, count(*) FROM findings WHERE closed_at IS NULL GROUP BY kind;
