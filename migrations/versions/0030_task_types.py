"""Evidence and scores by task type."""

from centralcloud.store.schema import grant_rights, run_sql_file

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0030_task_types.sql")
    run_sql_file("functions/drop_expired_partition.v5.sql")
    run_sql_file("functions/current_task_scores.v1.sql")
    for table in ("task_types", "task_evidence", "dropped_task_evidence", "model_task_scores"):
        grant_rights(table)
    run_sql_file("0030_grants.sql")


def downgrade() -> None:
    """Remove evidence and scores by task type. The records keep their task types."""
    run_sql_file("functions/drop_expired_partition.v4.sql")
    run_sql_file("0030_drop.sql")
