"""Spend and rate limits by leases: periods, leases, their holders, and one alert for each budget and period."""

from alembic import op

from centralcloud.store.schema import grant_rights, run_sql_file

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"

_FUNCTIONS = ("calendar_period", "spend_limit", "open_spend_period", "exchange_spend", "current_spend")
_TABLES = ("spend_periods", "spend_holders", "spend_leases", "spend_alerts")


def upgrade() -> None:
    run_sql_file("0022_spend.sql")
    for function in _FUNCTIONS:
        run_sql_file(f"functions/{function}.v1.sql")
    grant_rights(_TABLES[0], functions=[f"centralcloud.{name}" for name in _FUNCTIONS])
    for table in _TABLES[1:]:
        grant_rights(table)
    run_sql_file("0022_grants.sql")


def downgrade() -> None:
    """Remove the tables and their functions. The cost of each call stays in the records; a budget begins at 0 again."""
    op.execute(f"DROP FUNCTION {', '.join(f'centralcloud.{name}' for name in reversed(_FUNCTIONS))}")
    op.execute(f"DROP TABLE {', '.join(reversed(_TABLES))}")
