-- Applies the feedback that waited for these requests. Served by the primary key of waiting_feedback, which is empty most of the
-- time.
SELECT centralcloud.settle_feedback(ARRAY(SELECT json_array_elements_text(%(request_ids)s)::uuid));
