"""Rules that see evidence slice by slice, the scores of every rule, pins, holds, findings."""

from centralcloud.store.schema import run_sql_file

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for part in ("learning", "partitions"):
        run_sql_file(f"0003_{part}.sql")


def downgrade() -> None:
    """Remove what this revision added. The scores that stand stay."""
    run_sql_file("0003_drop.sql")
