-- Revision 0018: the health of targets as gateways see it. Expands only: older programs use none of it.

-- One row for each target, and not for each change: state that expires, and has no history. Small: it is read as a whole.
CREATE TABLE target_health (
    kind         text NOT NULL CHECK (kind IN ('breaker', 'check', 'lease')),
    key          text NOT NULL CHECK (length(key) BETWEEN 1 AND 1500),
    reporter     text NOT NULL,
    state        text NOT NULL CHECK (length(state) BETWEEN 1 AND 20),
    reason       text CHECK (length(reason) <= 200),
    reported_at  timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (kind, key)
);
COMMENT ON TABLE target_health IS
    'what gateways say about targets: the newest state of a breaker, the newest result of a check, and who probes or checks; counts until expires_at';
COMMENT ON COLUMN target_health.key IS 'model and provider, or the provider, with a digest of address and API key; of a lease, what it is for';
COMMENT ON COLUMN target_health.reporter IS 'the gateway that says so, or that holds the lease';
