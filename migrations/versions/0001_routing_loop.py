"""The routing loop: records, metrics, evidence, scores, dead letters, instances, views, and functions for instances."""

from centralcloud.store.schema import run_sql_file

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    for part in ("queues", "tables", "views", "functions"):
        run_sql_file(f"0001_{part}.sql")


def downgrade() -> None:
    """Remove everything of ours. pgmq and the queues stay: their messages belong to the instances."""
    run_sql_file("0001_drop.sql")
