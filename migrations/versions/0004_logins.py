"""Roles with no more rights than they need, logins that speak for one instance, and which code may run on which schema."""

from centralcloud.store.schema import run_sql_file

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md). Before 0004 no code looks at this.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0004_logins.sql")


def downgrade() -> None:
    """Remove what this revision added. A login of one instance may then speak for any."""
    run_sql_file("0004_drop.sql")
