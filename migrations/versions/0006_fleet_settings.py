"""Settings of the whole fleet, and the log of operators' actions."""

from centralcloud.store.schema import run_sql_file

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): tables are added, and nothing else.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0006_functions.sql")
    run_sql_file("0006_fleet_settings.sql")
    run_sql_file("0006_grants.sql")


def downgrade() -> None:
    """Remove what this revision added. The log of operators' actions is lost."""
    run_sql_file("0006_drop.sql")
