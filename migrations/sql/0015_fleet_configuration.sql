-- Revision 0015: the configuration of the fleet (models, endpoints, keys; further kinds need no other table), under one version.
-- Expands only: older workers use none of it.

-- One row. Its lock orders all writers, so that a version is committed before the next one is drawn: a reader that has seen a
-- version has seen all before it, and its cursor has no gaps.
CREATE TABLE configuration_state (
    only_row        boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    config_version  bigint NOT NULL DEFAULT 0,
    health_version  bigint NOT NULL DEFAULT 0
);
INSERT INTO configuration_state DEFAULT VALUES;
COMMENT ON TABLE configuration_state IS 'one row: the newest version of the configuration, and of the posted health';
COMMENT ON COLUMN configuration_state.config_version IS 'number of changes so far; 0: nothing was configured';
COMMENT ON COLUMN configuration_state.health_version IS 'number of health reports so far';

CREATE TABLE configuration_versions (
    config_version  bigint PRIMARY KEY,
    stamp           uuid NOT NULL DEFAULT gen_random_uuid(),
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    who             text NOT NULL,
    reason          text,
    entries         integer NOT NULL
);
COMMENT ON TABLE configuration_versions IS 'a change of the configuration: one transaction, one version';
COMMENT ON COLUMN configuration_versions.stamp IS 'distinguishes this change from one with the same number in a database that was restored to before it';
COMMENT ON COLUMN configuration_versions.who IS 'the user of the command or the label of the key, and the database role';
COMMENT ON COLUMN configuration_versions.entries IS 'entries that changed';

CREATE TABLE configuration_entries (
    kind            text NOT NULL CHECK (length(kind) BETWEEN 1 AND 40),
    id              text NOT NULL CHECK (length(id) BETWEEN 1 AND 512),
    body            jsonb CHECK (jsonb_typeof(body) = 'object' AND octet_length(body::text) <= 262144),
    config_version  bigint NOT NULL,
    PRIMARY KEY (kind, id)
);
CREATE INDEX idx_configuration_entries_version ON configuration_entries (config_version);
COMMENT ON TABLE configuration_entries IS 'the newest state of each entry of the configuration';
COMMENT ON COLUMN configuration_entries.kind IS 'model, endpoint or key';
COMMENT ON COLUMN configuration_entries.body IS 'the entry in its JSON form; null: it was removed';
COMMENT ON COLUMN configuration_entries.config_version IS 'the version of its newest change';

CREATE TABLE configuration_history (
    config_version  bigint NOT NULL,
    kind            text NOT NULL,
    id              text NOT NULL,
    body            jsonb,
    PRIMARY KEY (config_version, kind, id)
);
CREATE INDEX idx_configuration_history_entry ON configuration_history (kind, id, config_version DESC);
COMMENT ON TABLE configuration_history IS 'every state of every entry of the configuration';
COMMENT ON COLUMN configuration_history.config_version IS 'the version from which on the entry had this state; configuration_versions says by whom';
COMMENT ON COLUMN configuration_history.body IS 'null: it was removed';

-- State, not configuration: it expires, and has no history.
CREATE TABLE model_health (
    model_id        text PRIMARY KEY,
    body            jsonb NOT NULL CHECK (jsonb_typeof(body) = 'object' AND octet_length(body::text) <= 4096),
    reported_at     timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    health_version  bigint NOT NULL
);
COMMENT ON TABLE model_health IS 'the newest posted health of a model; counts until expires_at';

-- A change may come through the programming interface, too.
ALTER TABLE operator_actions DROP CONSTRAINT operator_actions_via_check;
ALTER TABLE operator_actions ADD CONSTRAINT operator_actions_via_check CHECK (via IN ('cli', 'web', 'api'));
COMMENT ON COLUMN operator_actions.via IS 'cli: a command; web: a page; api: a request to a gateway';
