"""Counts of values that producers sent for a field and that were ignored."""

from centralcloud.store.schema import run_sql_file

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): a table is added, and nothing else.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0009_ignored_values.sql")
    run_sql_file("0009_grants.sql")


def downgrade() -> None:
    """Remove the table. The values themselves stay in `routing_records.extra`."""
    run_sql_file("0009_drop.sql")
