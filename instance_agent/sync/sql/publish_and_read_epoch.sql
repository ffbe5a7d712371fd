-- Sends routing events in one transaction, notifies the workers, and names the history of the database that has them now.
SELECT centralcloud.epoch() AS epoch FROM centralcloud.publish_decisions(%(events)s::jsonb[], true);
