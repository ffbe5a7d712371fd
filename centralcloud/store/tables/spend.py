"""Tables of spend and rate limits: periods, the leases of gateways on them, and alerts.

Only the functions of migration 0022 write them; the daemon records in `spend_alerts` how an alert was delivered.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from centralcloud.store.tables.base import TIMESTAMP, counter, metadata

spend_periods = Table(
    "spend_periods",
    metadata,
    Column("meter", Text, nullable=False),
    Column("period_start", TIMESTAMP, nullable=False),
    Column("period_end", TIMESTAMP, nullable=False),
    Column("unit", Text, nullable=False),
    Column("limit_amount", BigInteger, nullable=False),
    counter("spent"),
    counter("estimated"),
    counter("leased"),
    counter("written_off"),
    Column("recalled_at", TIMESTAMP),
    PrimaryKeyConstraint("meter", "period_start"),
)
Index("idx_spend_periods_end", spend_periods.c.period_end)

spend_holders = Table(
    "spend_holders",
    metadata,
    Column("holder", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("answer", JSONB),
    Column("expires_at", TIMESTAMP, nullable=False),
)

spend_leases = Table(
    "spend_leases",
    metadata,
    Column("meter", Text, nullable=False),
    Column("period_start", TIMESTAMP, nullable=False),
    Column("holder", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("is_written_off", Boolean, nullable=False, server_default=text("false")),
    Column("used_at", TIMESTAMP, nullable=False),
    PrimaryKeyConstraint("meter", "period_start", "holder"),
    ForeignKeyConstraint(
        ["meter", "period_start"], ["spend_periods.meter", "spend_periods.period_start"], ondelete="CASCADE"
    ),
)
Index("idx_spend_leases_holder", spend_leases.c.holder)

spend_alerts = Table(
    "spend_alerts",
    metadata,
    Column("meter", Text, nullable=False),
    Column("period_start", TIMESTAMP, nullable=False),
    Column("period_end", TIMESTAMP, nullable=False),
    Column("at", TIMESTAMP, nullable=False, server_default=text("clock_timestamp()")),
    Column("holder", Text, nullable=False),
    Column("threshold", Double, nullable=False),
    Column("limit_amount", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_attempt_at", TIMESTAMP, nullable=False, server_default=text("clock_timestamp()")),
    Column("delivered_at", TIMESTAMP),
    Column("problem", Text),
    PrimaryKeyConstraint("meter", "period_start"),
)
Index(
    "idx_spend_alerts_undelivered",
    spend_alerts.c.next_attempt_at,
    postgresql_where=spend_alerts.c.delivered_at.is_(None),
)
