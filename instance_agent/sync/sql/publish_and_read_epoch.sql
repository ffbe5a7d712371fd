-- Sends routing events in one transaction, notifies the workers, and names the history of the database that has them now.
-- Binary: the text form of an array escapes every quotation mark, which takes longer than all else that sending does.
SELECT centralcloud.epoch() AS epoch FROM centralcloud.publish_decisions(%(events)b::text[]::jsonb[], true);
