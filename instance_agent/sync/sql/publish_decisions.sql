-- Sends routing events in one transaction, and notifies the workers.
SELECT centralcloud.publish_decisions(%(events)s::jsonb[], true);
