"""A row a minute of the whole fleet, numbers of the queue for dashboards, and the status of a model for operators."""

from alembic import op

from centralcloud.store.schema import grant_rights, run_sql_file

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"

_COLUMNS = ("counted_records", "successes", "failures", "blameless", "cost_nano_usd")


def upgrade() -> None:
    run_sql_file("functions/queue_summary.v1.sql")
    run_sql_file("functions/set_model_status.v1.sql")
    run_sql_file("0025_fleet_minutes.sql")
    run_sql_file("0025_dashboard_configuration.sql")
    grant_rights("fleet_minutes", functions=["centralcloud.queue_summary"])
    run_sql_file("0025_grants.sql")


def downgrade() -> None:
    """Remove the rows and the functions. The ledger forgets outcomes and cost; the records keep them."""
    op.execute("DROP FUNCTION centralcloud.set_model_status(bigint, text, text, text, text, text, text)")
    op.execute("DROP FUNCTION centralcloud.queue_summary()")
    op.execute("DROP VIEW dashboard_configuration")
    op.execute("DROP TABLE fleet_minutes")
    op.execute(f"ALTER TABLE accounting {', '.join(f'DROP COLUMN {name}' for name in _COLUMNS)}")
