-- The records, the plan and the feedback of a request, as JSON; null: there is none for this workspace.
SELECT centralcloud.explain_request(%(request_id)s, %(workspace)s)::text;
