-- Applies the feedback whose records have arrived. Served by idx_waiting_feedback_reported_at, and for each by
-- idx_routing_records_request_id.
SELECT centralcloud.settle_feedback();
