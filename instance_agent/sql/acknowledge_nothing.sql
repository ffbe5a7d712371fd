-- As each poll of an instance does. Version 0 changes nothing, and the caller rolls back.
SELECT centralcloud.acknowledge(%(instance_id)s, 0);
