-- Drops the oldest partition when all of it is older than the retention; returns no row when none was dropped.
SELECT partition_name AS name, record_count AS records
FROM centralcloud.drop_expired_partition(make_interval(days => %(retention_days)s));
