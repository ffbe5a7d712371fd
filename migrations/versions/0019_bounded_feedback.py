"""Feedback that waits for its request: bounded for each key, and looked for less and less often."""

from centralcloud.store.schema import run_sql_file

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0019_bounded_feedback.sql")
    for function in ("apply_feedback.v2", "submit_feedback.v1", "report_feedback.v2", "settle_feedback.v2"):
        run_sql_file(f"functions/{function}.sql")
    run_sql_file("0019_grants.sql")


def downgrade() -> None:
    """Take the bound away. Feedback that waits keeps waiting."""
    run_sql_file("0019_drop.sql")
    for function in ("apply_feedback.v1", "report_feedback.v1", "settle_feedback.v1"):
        run_sql_file(f"functions/{function}.sql")
