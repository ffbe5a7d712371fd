"""Accounts of every message, retention of records, evidence gathered at the close of a slice, hourly performance."""

from centralcloud.store.schema import run_sql_file

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for part in ("accounting", "partitions"):
        run_sql_file(f"0002_{part}.sql")


def downgrade() -> None:
    """Remove what this revision added. What is gathered and counted from then on is what revision 0001 counts."""
    run_sql_file("0002_drop.sql")
