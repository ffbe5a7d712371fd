-- Records the oldest revision whose code may run on the schema. One row; writes nothing when it is recorded already.
INSERT INTO centralcloud.schema_compatibility AS recorded (revision, oldest_revision)
VALUES (%(revision)s, %(oldest_code)s)
ON CONFLICT (only_row) DO UPDATE SET revision = excluded.revision, oldest_revision = excluded.oldest_revision
WHERE (recorded.revision, recorded.oldest_revision) <> (excluded.revision, excluded.oldest_revision);
