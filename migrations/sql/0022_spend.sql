-- Revision 0022: spend and rate limits by leases. Expands only: older programs use none of it.

-- One row for each limit and period. Its lock orders the gateways, a few times a second each and not once a request.
CREATE TABLE spend_periods (
    meter         text NOT NULL CHECK (length(meter) BETWEEN 1 AND 600),
    period_start  timestamptz NOT NULL,
    period_end    timestamptz NOT NULL CHECK (period_end > period_start),
    unit          text NOT NULL CHECK (unit IN ('nano_usd', 'requests', 'tokens')),
    limit_amount  bigint NOT NULL CHECK (limit_amount >= 0),
    spent         bigint NOT NULL DEFAULT 0 CHECK (spent >= 0),
    estimated     bigint NOT NULL DEFAULT 0 CHECK (estimated BETWEEN 0 AND spent),
    leased        bigint NOT NULL DEFAULT 0 CHECK (leased >= 0),
    written_off   bigint NOT NULL DEFAULT 0 CHECK (written_off >= 0),
    recalled_at   timestamptz,
    PRIMARY KEY (meter, period_start)
);
CREATE INDEX idx_spend_periods_end ON spend_periods (period_end);
COMMENT ON TABLE spend_periods IS
    'a budget or a rate limit in one period: spent + written_off + leased never passes the limit by a lease, so that no request can';
COMMENT ON COLUMN spend_periods.meter IS 'budget/ID, overdraft/ID of a budget, requests/KEY or tokens/KEY of a rate limit';
COMMENT ON COLUMN spend_periods.unit IS 'of every amount in the row; nano_usd is 1e-9 USD';
COMMENT ON COLUMN spend_periods.limit_amount IS 'as the configuration had it at the newest exchange';
COMMENT ON COLUMN spend_periods.estimated IS 'part of spent that was estimated: streams that ended early, answers without a usage';
COMMENT ON COLUMN spend_periods.leased IS 'held by gateways, and not reported as spent yet';
COMMENT ON COLUMN spend_periods.written_off IS 'leases of gateways that do not answer any more: counts as spent, until they report again';
COMMENT ON COLUMN spend_periods.recalled_at IS 'when the gateways were last asked to return what they do not need';

-- A process of a gateway. The number and the answer make a report that is sent again after a lost connection harmless.
CREATE TABLE spend_holders (
    holder      text PRIMARY KEY CHECK (length(holder) BETWEEN 1 AND 300),
    number      bigint NOT NULL,
    answer      jsonb,
    expires_at  timestamptz NOT NULL
);
COMMENT ON TABLE spend_holders IS 'a process of a gateway that holds leases on spend; after expires_at they count as spent';
COMMENT ON COLUMN spend_holders.holder IS 'the id of the gateway, and one of its process';
COMMENT ON COLUMN spend_holders.number IS 'of its newest exchange';
COMMENT ON COLUMN spend_holders.answer IS 'to its newest exchange';

CREATE TABLE spend_leases (
    meter         text NOT NULL,
    period_start  timestamptz NOT NULL,
    holder        text NOT NULL,
    amount        bigint NOT NULL CHECK (amount >= 0),
    is_written_off boolean NOT NULL DEFAULT false,
    used_at       timestamptz NOT NULL,
    PRIMARY KEY (meter, period_start, holder),
    FOREIGN KEY (meter, period_start) REFERENCES spend_periods ON DELETE CASCADE
);
CREATE INDEX idx_spend_leases_holder ON spend_leases (holder);
COMMENT ON TABLE spend_leases IS 'what one process of a gateway may still spend of a limit in a period';
COMMENT ON COLUMN spend_leases.amount IS 'granted, and neither reported as spent nor returned';
COMMENT ON COLUMN spend_leases.is_written_off IS 'whether amount is in written_off of the period, and not in leased';
COMMENT ON COLUMN spend_leases.used_at IS 'when the process last asked for this limit';

-- Exactly one for each budget and period: the primary key decides, whichever gateway passes the threshold.
CREATE TABLE spend_alerts (
    meter         text NOT NULL,
    period_start  timestamptz NOT NULL,
    period_end    timestamptz NOT NULL,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    holder        text NOT NULL,
    threshold     double precision NOT NULL,
    limit_amount  bigint NOT NULL,
    spent         bigint NOT NULL,
    attempts      integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    delivered_at  timestamptz,
    problem       text CHECK (length(problem) <= 500),
    PRIMARY KEY (meter, period_start)
);
CREATE INDEX idx_spend_alerts_undelivered ON spend_alerts (next_attempt_at) WHERE delivered_at IS NULL;
COMMENT ON TABLE spend_alerts IS 'the one alert of a budget in a period: its spend has reached the threshold';
COMMENT ON COLUMN spend_alerts.holder IS 'the gateway whose report reached the threshold';
COMMENT ON COLUMN spend_alerts.threshold IS 'share of the limit, 0 to 1';
COMMENT ON COLUMN spend_alerts.spent IS 'nano-USD at that moment, leases that were written off included';
COMMENT ON COLUMN spend_alerts.attempts IS 'to deliver it to the webhook';
COMMENT ON COLUMN spend_alerts.delivered_at IS 'when the webhook accepted it; empty: it has not, or none is set';
COMMENT ON COLUMN spend_alerts.problem IS 'why the newest attempt failed';
