"""The share of the fleet's traffic that each finding concerns."""

from centralcloud.store.schema import run_sql_file

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name the new column.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0008_finding_traffic.sql")


def downgrade() -> None:
    run_sql_file("0008_drop.sql")
