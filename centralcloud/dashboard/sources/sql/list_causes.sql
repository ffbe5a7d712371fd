-- The changes within 15 minutes before each of the 60 open findings that concern most traffic, at most five of a kind for
-- each: of a score (those of the same model first), of an operator, of the configuration. Open findings are served by
-- idx_findings_open, changes of scores of the same model by idx_model_score_history_pair, the others by the brin index
-- idx_model_score_history_created_at. The logs of operators are as long as people have changed something: read backwards.
WITH open AS MATERIALIZED (
    SELECT finding_id, opened_at, opened_at - interval '15 minutes' AS from_at, details ->> 'model' AS model
    FROM public.findings
    WHERE closed_at IS NULL
    ORDER BY traffic_share DESC NULLS FIRST, opened_at DESC, finding_id DESC
    LIMIT 60
)
SELECT open.finding_id, 'score' AS kind, change.created_at AS at, change.model_name AS subject, change.complexity_level AS complexity,
    change.kind AS what, change.old_score::double precision AS before, change.new_score::double precision AS after, change.version AS number
FROM open
CROSS JOIN LATERAL (
    SELECT h.created_at, h.model_name, h.complexity_level, h.kind, h.old_score, h.new_score, h.version
    FROM public.model_score_history h
    WHERE h.model_name = open.model AND h.created_at BETWEEN open.from_at AND open.opened_at
      AND abs(h.new_score - coalesce(h.old_score, 0)) >= 0.01
    ORDER BY abs(h.new_score - coalesce(h.old_score, h.new_score)) DESC, h.version DESC
    LIMIT 5
) AS change
WHERE open.model IS NOT NULL
UNION ALL
SELECT open.finding_id, 'score', change.created_at, change.model_name, change.complexity_level, change.kind,
    change.old_score::double precision, change.new_score::double precision, change.version
FROM open
CROSS JOIN LATERAL (
    SELECT h.created_at, h.model_name, h.complexity_level, h.kind, h.old_score, h.new_score, h.version
    FROM public.model_score_history h
    WHERE h.created_at BETWEEN open.from_at AND open.opened_at AND abs(h.new_score - coalesce(h.old_score, 0)) >= 0.01
    ORDER BY abs(h.new_score - coalesce(h.old_score, h.new_score)) DESC, h.version DESC
    LIMIT 5
) AS change
WHERE open.model IS NULL
UNION ALL
SELECT open.finding_id, 'action', action.at, action.subject, NULL, action.action, NULL, NULL, action.id
FROM open
CROSS JOIN LATERAL (
    SELECT a.id, a.at, a.subject, a.action
    FROM public.operator_actions a
    WHERE a.at BETWEEN open.from_at AND open.opened_at
      AND a.after -> 'config_version' IS NULL  -- these stand among the versions of the configuration
    ORDER BY a.id DESC
    LIMIT 5
) AS action
UNION ALL
SELECT open.finding_id, 'configuration', version.at, version.who, NULL, version.reason, NULL, version.entries, version.config_version
FROM open
CROSS JOIN LATERAL (
    SELECT v.at, v.who, v.reason, v.entries, v.config_version
    FROM public.configuration_versions v
    WHERE v.at BETWEEN open.from_at AND open.opened_at
    ORDER BY v.config_version DESC
    LIMIT 5
) AS version
ORDER BY 1, 3 DESC, 2, 9;
