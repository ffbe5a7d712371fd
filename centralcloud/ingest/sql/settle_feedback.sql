-- Applies the feedback that waited for these requests. Served by the primary key of waiting_feedback, which is empty most of the
-- time.
SELECT centralcloud.settle_feedback(%(request_ids)s::uuid[]);
