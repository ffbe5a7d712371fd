-- Decisions of the newest 24 hours by complexity and task type: those of a complexity, divided as its outcomes are. An instance that
-- reports outcomes only has made as many decisions. Served by idx_evidence_slice_no and idx_task_evidence_slice_no: the cost grows
-- with the evidence of one day only.
WITH day AS MATERIALIZED (
    SELECT slice_no FROM public.evidence_slices
    WHERE closed_at BETWEEN now() - interval '24 hours' AND now() + interval '5 minutes'  -- not of a clock that was ahead
), of_complexity AS (
    SELECT complexity, sum(decisions) AS decisions, sum(outcomes) AS outcomes
    FROM (
        SELECT
            e.complexity_level AS complexity,
            greatest(sum(e.routed), sum(e.successes + e.failures + e.blameless)) AS decisions,
            sum(e.successes + e.failures) AS outcomes
        FROM public.evidence e
        WHERE e.slice_no >= (SELECT min(slice_no) FROM day) AND e.slice_no IN (SELECT slice_no FROM day)
        GROUP BY e.complexity_level, e.instance_id
    ) AS of_instances
    GROUP BY complexity
), of_task AS (
    SELECT e.complexity_level AS complexity, coalesce(t.name, 'other') AS task_type, sum(e.successes + e.failures) AS outcomes
    FROM public.task_evidence e
    LEFT JOIN public.task_types t USING (task_no)
    WHERE e.slice_no >= (SELECT min(slice_no) FROM day) AND e.slice_no IN (SELECT slice_no FROM day)
    GROUP BY 1, 2
)
SELECT complexity, task_type, (c.decisions * t.outcomes / greatest(c.outcomes, 1))::double precision AS decisions
FROM of_task t JOIN of_complexity c USING (complexity)
UNION ALL
SELECT
    complexity, NULL,
    (c.decisions * greatest(1 - coalesce((SELECT sum(t.outcomes) FROM of_task t WHERE t.complexity = c.complexity), 0)
        / greatest(c.outcomes, 1), 0))::double precision
FROM of_complexity c
ORDER BY complexity, task_type;
