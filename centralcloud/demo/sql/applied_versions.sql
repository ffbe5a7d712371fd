-- The newest score version that each instance has applied.
SELECT instance_id, applied_version FROM instances ORDER BY instance_id;
