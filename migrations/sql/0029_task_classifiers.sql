-- Revision 0029: trained classifiers of tasks. Expands only: older programs use none of it.

CREATE TABLE task_classifiers (
    version     bigint PRIMARY KEY CHECK (version > 0),
    trained_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    who         text NOT NULL,
    reason      text,
    sha256      text NOT NULL CHECK (length(sha256) = 64),
    summary     jsonb NOT NULL CHECK (jsonb_typeof(summary) = 'object' AND octet_length(summary::text) <= 262144),
    model       bytea CHECK (octet_length(model) BETWEEN 1 AND 5000000)
);
-- The weights are dense: to compress them would only cost time.
ALTER TABLE task_classifiers ALTER COLUMN model SET STORAGE EXTERNAL;
COMMENT ON TABLE task_classifiers IS 'a trained classifier of tasks: hashed words with weights, and no text of a prompt';
COMMENT ON COLUMN task_classifiers.who IS 'the user of the command, and the database role';
COMMENT ON COLUMN task_classifiers.summary IS 'labels, and the accuracy on prompts that were held out';
COMMENT ON COLUMN task_classifiers.model IS 'the classifier as gateways read it; null: removed, because ten newer ones exist';

-- The row with the greatest number counts. Append-only: the row before it is the way back.
CREATE TABLE task_classifier_choices (
    choice   bigint PRIMARY KEY CHECK (choice > 0),
    version  bigint REFERENCES task_classifiers,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE task_classifier_choices IS 'which trained classifier gateways use from when on; operator_actions says who chose it';
COMMENT ON COLUMN task_classifier_choices.version IS 'null: none';
