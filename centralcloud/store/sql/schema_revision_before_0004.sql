-- The revision of a schema that does not say which older code may run on it. One row.
SELECT version_num AS revision, NULL AS oldest_code FROM centralcloud.schema_revision;
