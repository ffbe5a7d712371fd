-- Adds ignored values to the counts of this hour, in the order of their fields, so that consumers wait for each other and do not
-- deadlock. The last example wins.
INSERT INTO public.ignored_values AS i (hour, field, messages, example, instance_id)
SELECT date_trunc('hour', now(), 'UTC'), v.field, v.messages, v.example, v.instance_id
FROM ROWS FROM (
    jsonb_to_recordset(%(values)s::jsonb) AS (field text, messages bigint, example text, instance_id text)
) AS v
ORDER BY v.field
ON CONFLICT (hour, field) DO UPDATE SET
    messages = i.messages + excluded.messages, example = excluded.example, instance_id = excluded.instance_id;
