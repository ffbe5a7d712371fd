-- Reports the newest score version that this instance has applied and stored.
SELECT centralcloud.acknowledge(%(instance_id)s, %(version)s);
