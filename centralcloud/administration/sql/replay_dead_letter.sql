-- Sends one open dead letter again, with its edits, and marks it as replayed: one statement, so it happens once. `edits` is a
-- JSON list of {"path": [...], "value": ...}. No row: it is not open, has no message, or the path of an edit does not exist.
WITH RECURSIVE edit AS (
    SELECT
        position,
        ARRAY(SELECT jsonb_array_elements_text(edit -> 'path')) AS path,
        edit -> 'value' AS value
    FROM jsonb_array_elements(%(edits)s::jsonb) WITH ORDINALITY AS listed (edit, position)
), letter AS MATERIALIZED (
    SELECT id, message::jsonb AS message FROM public.dead_letters WHERE id = %(id)s AND resolution IS NULL FOR UPDATE
), edited AS (
    SELECT id, message, 0::bigint AS edits FROM letter
    UNION ALL
    SELECT id, jsonb_set(edited.message, edit.path, edit.value), edit.position
    FROM edited JOIN edit ON edit.position = edited.edits + 1
), final AS (
    SELECT id, message
    FROM edited
    WHERE message IS NOT NULL
      AND edits = (SELECT count(*) FROM edit)
      AND (SELECT coalesce(bool_and(message #> path IS NOT DISTINCT FROM value), true) FROM edit)
), sent AS MATERIALIZED (
    SELECT final.id, message.msg_id
    FROM final CROSS JOIN LATERAL pgmq.send('model_routing_decisions', final.message) AS message (msg_id)
)
UPDATE public.dead_letters d SET resolution = 'replayed', resolved_at = now(), replayed_msg_id = sent.msg_id
FROM sent WHERE d.id = sent.id
RETURNING d.replayed_msg_id;
