-- The revision of the schema, and the oldest revision whose code may run on it: null when it says that of another revision.
SELECT
    version_num AS revision,
    (SELECT oldest_revision FROM centralcloud.schema_compatibility WHERE revision = version_num) AS oldest_code
FROM centralcloud.schema_revision;
