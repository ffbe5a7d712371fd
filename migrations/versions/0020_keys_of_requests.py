"""The key of a request in the view of requests, and changes of keys by their names in the log of operators' actions."""

from centralcloud.store.schema import run_sql_file

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("views/routing_decisions.v2.sql")
    run_sql_file("functions/write_configuration.v2.sql")


def downgrade() -> None:
    """Take both away. Actions that are logged keep their names."""
    run_sql_file("functions/write_configuration.v1.sql")
    run_sql_file("0020_drop.sql")
    run_sql_file("views/routing_decisions.v1.sql")
    run_sql_file("0020_grants_drop.sql")
