-- Revision 0013: how many new model names each instance has used in each hour. Expands only: older workers use neither.
CREATE TABLE new_model_names (
    instance_id  varchar NOT NULL,
    hour         timestamptz NOT NULL,
    admitted     boolean NOT NULL,
    names        bigint NOT NULL DEFAULT 0,
    events       bigint NOT NULL DEFAULT 0,
    granted      bigint NOT NULL DEFAULT 0,
    example      varchar,
    PRIMARY KEY (instance_id, hour, admitted)
);
CREATE INDEX idx_new_model_names_hour ON new_model_names (hour);
COMMENT ON TABLE new_model_names IS 'model names that were new, by instance and hour; two rows an hour: within the limit, and beyond it';
COMMENT ON COLUMN new_model_names.instance_id IS 'the instance whose event used the name first; empty: all instances together';
COMMENT ON COLUMN new_model_names.admitted IS 'true: names within the limit; false: names beyond it, whose events were recorded under the model (other)';
COMMENT ON COLUMN new_model_names.names IS 'new names; beyond the limit a name counts once in each batch that has it';
COMMENT ON COLUMN new_model_names.events IS 'events that were recorded under (other); 0 within the limit';
COMMENT ON COLUMN new_model_names.granted IS 'how many names the newest batch was granted';
COMMENT ON COLUMN new_model_names.example IS 'the newest name beyond the limit';

-- Events with names beyond the limit have this model. Learning and findings leave it out, as every retired model.
INSERT INTO retired_models (model_name) VALUES ('(other)') ON CONFLICT DO NOTHING;
