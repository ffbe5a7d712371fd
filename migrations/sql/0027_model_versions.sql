-- Revision 0027: which version of a model the providers answer with, and the changes of it. Expands only.
CREATE TABLE model_versions (
    model_name       varchar NOT NULL,
    provider         varchar NOT NULL,
    instance_id      varchar NOT NULL,
    version          varchar,
    newest           varchar NOT NULL,
    run              bigint NOT NULL CHECK (run > 0),
    run_after_slice  bigint NOT NULL CHECK (run_after_slice >= 0),
    switches         integer NOT NULL DEFAULT 0 CHECK (switches >= 0),
    switched_at      timestamptz,
    seen_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model_name, provider, instance_id)
);
CREATE INDEX idx_model_versions_seen_at ON model_versions USING brin (seen_at);
COMMENT ON TABLE model_versions IS 'the ids that answers of a provider name for a model, by the outcomes of one instance, or of all (instance_id is empty)';
COMMENT ON COLUMN model_versions.version IS 'the id that counts: enough outcomes in a row carried it; null: none yet';
COMMENT ON COLUMN model_versions.newest IS 'the id of the newest outcome';
COMMENT ON COLUMN model_versions.run IS 'how many outcomes in a row carry newest; not counted on once it is the version';
COMMENT ON COLUMN model_versions.run_after_slice IS 'the first of them arrived after this slice, or in it behind an outcome with another id';
COMMENT ON COLUMN model_versions.switches IS 'how often the id differed from that of the outcome before, since the model was learned anew';
COMMENT ON COLUMN model_versions.seen_at IS 'when an outcome was last seen, within an hour';

CREATE TABLE model_changes (
    change_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model_name        varchar NOT NULL,
    complexity_level  varchar,
    after_slice       bigint NOT NULL CHECK (after_slice >= 0),
    provider          varchar,
    instance_id       varchar,
    version_before    varchar,
    version_after     varchar,
    reason            text,
    created_at        timestamptz NOT NULL DEFAULT now(),
    undone_at         timestamptz
);
CREATE INDEX idx_model_changes_created_at ON model_changes (created_at);
CREATE INDEX idx_model_changes_model ON model_changes (model_name, change_id);
COMMENT ON TABLE model_changes IS 'changes of a model that providers or operators told: rules learn it anew from there';
COMMENT ON COLUMN model_changes.complexity_level IS 'null: all complexities';
COMMENT ON COLUMN model_changes.after_slice IS 'the evidence after this slice is that of the changed model';
COMMENT ON COLUMN model_changes.instance_id IS 'the instance whose outcomes told it; null: those of all instances, or an operator';
COMMENT ON COLUMN model_changes.version_after IS 'the id that answers name since; null: an operator told it';
COMMENT ON COLUMN model_changes.undone_at IS 'an operator took it back';

ALTER TABLE learning_control ADD COLUMN versions_through_slice bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN learning_control.versions_through_slice IS 'model_versions has the outcomes up to this slice';
UPDATE learning_control SET versions_through_slice = coalesce(
    (SELECT max(slice_no) FROM evidence_slices WHERE gathered_at IS NOT NULL), 0
);
