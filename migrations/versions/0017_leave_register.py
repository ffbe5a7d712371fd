"""Instances that say that they have gone: a replica that was stopped does not stay in the register."""

from alembic import op

from centralcloud.store.schema import run_sql_file

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not call the function.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("functions/leave.v1.sql")
    run_sql_file("0017_grants.sql")


def downgrade() -> None:
    """Remove the function."""
    op.execute("DROP FUNCTION centralcloud.leave(text)")
