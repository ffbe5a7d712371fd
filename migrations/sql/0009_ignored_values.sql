-- Revision 0009: values that were sent for a field and ignored are counted, by field and hour: at most one row for each field of
-- the contract and hour, whatever is sent.
CREATE TABLE ignored_values (
    hour         timestamptz NOT NULL,
    field        text NOT NULL,
    messages     bigint NOT NULL CHECK (messages > 0),
    example      text NOT NULL,
    instance_id  varchar NOT NULL,
    PRIMARY KEY (hour, field)
);
COMMENT ON TABLE ignored_values IS 'messages with a value that was meant as a field and kept in extra instead, by the hour of their ingest';
COMMENT ON COLUMN ignored_values.field IS 'the path of the field that the value was meant for';
COMMENT ON COLUMN ignored_values.example IS 'key and value of one of the messages, shortened and with control characters escaped';
COMMENT ON COLUMN ignored_values.instance_id IS 'the instance that sent the example';
