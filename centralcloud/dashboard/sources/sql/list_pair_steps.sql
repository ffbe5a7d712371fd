-- The scores of one pair since a number of hours ago (null: all), oldest first, with the one that stood at that time. Served by
-- idx_model_score_history_pair: at most the newest 20,000 versions of the pair. From more than 600 it returns every n-th, each
-- that differs by 0.1 or more from the one before, and each that is marked.
WITH recent AS (
    SELECT
        version, created_at AS at, new_score::double precision AS score, rule, kind, reason, based_on_samples AS samples,
        success_rate, low, high, latency_penalty, cost_penalty, window_start
    FROM public.model_score_history
    WHERE model_name = %(model)s AND complexity_level = %(complexity)s
    ORDER BY version DESC
    LIMIT 20000
), compared AS (
    SELECT
        *,
        lead(at) OVER newer AS until,
        abs(score - lag(score) OVER newer) >= 0.1 AS jumped,
        -- A later window with a change at its start: the alarm was raised by this version.
        coalesce(
            window_start > max(window_start) OVER (ORDER BY version ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
            AND reason LIKE '%%the mean changed then%%', false
        ) AS alarm
    FROM recent
    WINDOW newer AS (ORDER BY version)
), within AS (
    SELECT *, row_number() OVER (ORDER BY version) AS place, count(*) OVER () AS number
    FROM compared
    WHERE %(hours)s::integer IS NULL OR coalesce(until, 'infinity') > now() - %(hours)s::integer * interval '1 hour'
)
SELECT
    version, at, score, rule, kind, samples, success_rate, low, high, latency_penalty, cost_penalty, alarm,
    CASE WHEN alarm OR rule IN ('pin', 'rollback', 'experiment', 'renamed', 'reinstated', 'retired') THEN reason ELSE '' END AS reason
FROM within
WHERE number <= 600 OR place %% (number / 400) = 0 OR place IN (1, number) OR jumped OR alarm
   OR rule IN ('pin', 'rollback', 'experiment', 'renamed', 'reinstated', 'retired')
ORDER BY version;
