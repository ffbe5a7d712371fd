-- The trained classifier that gateways use: its version and its checksum; nulls: none. One row, by primary keys.
SELECT version, sha256 FROM centralcloud.task_classifier_in_use();
