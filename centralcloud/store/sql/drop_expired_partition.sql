-- Drops the oldest partition when all of it is older than the retention; returns no row when none was dropped. The age counts
-- back from a moment of the caller.
SELECT partition_name AS name, record_count AS records
FROM centralcloud.drop_expired_partition(now() - %(as_of)s + make_interval(days => %(retention_days)s));
