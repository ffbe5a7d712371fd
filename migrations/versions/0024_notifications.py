"""One notification of new events in 100 ms, for all publishers together: its cost does not grow with their number."""

from alembic import op

from centralcloud.store.schema import run_sql_file

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code polls where it is not notified.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0024_notifications.sql")
    run_sql_file("functions/notify_decisions.v1.sql")
    run_sql_file("0024_grants.sql")
    run_sql_file("functions/publish_decisions.v2.sql")


def downgrade() -> None:
    """Let each publisher notify by itself again."""
    run_sql_file("functions/publish_decisions.v1.sql")
    op.execute("DROP FUNCTION centralcloud.notify_decisions()")
    op.execute("DROP SEQUENCE centralcloud.decisions_notified_ms")
