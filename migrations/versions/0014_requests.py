"""The fields of a request that a gateway executes, graded rewards, feedback, and the plans of requests."""

from centralcloud.store.schema import run_sql_file

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0014_requests.sql")
    for function in (
        "drop_expired_partition.v4",
        "apply_feedback.v1",
        "report_feedback.v1",
        "settle_feedback.v1",
    ):
        run_sql_file(f"functions/{function}.sql")
    run_sql_file("0014_grants.sql")


def downgrade() -> None:
    """Remove what this revision added. Graded outcomes count as successes and failures again."""
    run_sql_file("functions/drop_expired_partition.v3.sql")
    run_sql_file("0014_drop.sql")
