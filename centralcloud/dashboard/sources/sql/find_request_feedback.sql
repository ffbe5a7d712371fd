-- The feedback on a request, without its words. Served by the primary key.
SELECT created_at, success, learned, reward, decision_id FROM public.feedback WHERE request_id = %(request_id)s;
