-- Creates the partitions from this week to some weeks from now; returns how many it created. Looks at catalogs only.
SELECT centralcloud.ensure_partitions(%(weeks_ahead)s::integer);
