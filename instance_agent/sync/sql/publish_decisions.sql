-- Sends routing events in one transaction, and notifies the workers.
-- Binary: the text form of an array escapes every quotation mark, which takes longer than all else that sending does.
SELECT centralcloud.publish_decisions(%(events)b::text[]::jsonb[], true);
