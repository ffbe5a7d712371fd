-- Applies the feedback whose records have arrived: at most 1,000 rows, those first that were looked for longest ago. Reads all of
-- waiting_feedback, which is bounded for each key; each row is served by idx_routing_records_request_id.
SELECT centralcloud.settle_feedback();
