-- The task types that are learned by themselves, and those of the newest outcomes: how many came with another name, the most frequent
-- of these names, and the learned ones that did not come. Served by the primary key of each partition, read backwards: the cost is
-- that of the newest records.
WITH newest AS MATERIALIZED (
    SELECT learned_task_type AS name FROM public.evidence_of_records ORDER BY id DESC LIMIT %(records)s
), came AS (
    SELECT n.name, count(*) AS outcomes, t.name IS NOT NULL AS learned
    FROM newest n LEFT JOIN public.task_types t USING (name)
    WHERE n.name <> %(other)s
    GROUP BY n.name, t.name
)
SELECT
    (SELECT count(*) FROM public.task_types) AS taken,
    coalesce(sum(outcomes), 0)::bigint AS outcomes,
    coalesce(sum(outcomes) FILTER (WHERE NOT learned), 0)::bigint AS without_place,
    coalesce(array_agg(name ORDER BY outcomes DESC, name) FILTER (WHERE NOT learned), '{}') AS names,
    ARRAY(SELECT name FROM public.task_types WHERE name NOT IN (SELECT name FROM came) ORDER BY task_no) AS silent
FROM came;
