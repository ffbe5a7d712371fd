"""A login of single instances that is not listed speaks for none; what is far too large for an event is not let in."""

from centralcloud.store.schema import run_sql_file

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): functions are replaced, and nothing else.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0005_unlisted_logins.sql")


def downgrade() -> None:
    """Remove what this revision added. A login of single instances that is not listed may then speak for any."""
    run_sql_file("0005_drop.sql")
