-- Grants new model names, in their order, as far as the limits of this hour allow: those of their instance first, and of these as
-- many as the fleet (the empty id) has left. Counts what it grants, and returns it. The transaction must hold the lock of
-- lock_new_names. Served by the primary key. The keys are sorted, as in every statement that adds to these counts.
WITH asked AS (
    SELECT
        name, instance_id, position,
        row_number() OVER (PARTITION BY instance_id ORDER BY position) AS of_instance
    FROM ROWS FROM (unnest(%(names)s::varchar[]), unnest(%(instance_ids)s::varchar[])) WITH ORDINALITY
        AS new (name, instance_id, position)
), used AS (
    SELECT instance_id, names FROM public.new_model_names
    WHERE hour = date_trunc('hour', now(), 'UTC') AND admitted AND instance_id = ANY (%(instance_ids)s::varchar[] || ''::varchar)
), granted AS MATERIALIZED (
    SELECT name, instance_id
    FROM asked LEFT JOIN used USING (instance_id)
    WHERE of_instance <= %(per_instance)s - coalesce(used.names, 0)
    ORDER BY position
    LIMIT (SELECT greatest(0, %(per_fleet)s - coalesce(max(names), 0)) FROM used WHERE instance_id = '')
), counted AS (
    INSERT INTO public.new_model_names AS n (instance_id, hour, admitted, names, granted)
    SELECT instance_id, date_trunc('hour', now(), 'UTC'), true, count(*), count(*)
    FROM (SELECT instance_id FROM granted UNION ALL SELECT '' FROM granted) AS each
    GROUP BY instance_id
    ORDER BY instance_id
    ON CONFLICT (instance_id, hour, admitted) DO UPDATE SET names = n.names + excluded.names, granted = excluded.granted
)
SELECT name FROM granted;
