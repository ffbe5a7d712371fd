-- Gives the escalations from and to some models the name of another one, and adds up equal ones. Reads all of them.
WITH gone AS (
    DELETE FROM public.escalation_roll_ups WHERE from_model = ANY (%(old)s) OR to_model = ANY (%(old)s) RETURNING *
), renamed AS (
    SELECT
        window_start, workspace, reason, requests,
        CASE WHEN from_model = ANY (%(old)s) THEN %(new)s::text ELSE from_model END AS from_model,
        CASE WHEN to_model = ANY (%(old)s) THEN %(new)s::text ELSE to_model END AS to_model
    FROM gone
)
INSERT INTO public.escalation_roll_ups AS e (window_start, id, workspace, from_model, to_model, reason, requests)
SELECT window_start, centralcloud.usage_key(ARRAY[workspace, from_model, to_model, reason]), workspace, from_model, to_model, reason, sum(requests)
FROM renamed
GROUP BY window_start, workspace, from_model, to_model, reason
ON CONFLICT (window_start, id) DO UPDATE SET requests = e.requests + excluded.requests;
