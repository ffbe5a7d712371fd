"""The default policies and the task mapping, a view of the policies, and the history of the configuration as functions."""

from alembic import op

from centralcloud.store.schema import run_sql_file

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0021_routing_policies.sql")
    run_sql_file("functions/configuration_at.v1.sql")
    run_sql_file("functions/configuration_changes.v1.sql")
    run_sql_file("0021_grants.sql")
    run_sql_file("0021_default_policies.sql")


def downgrade() -> None:
    """Remove the entries that older code cannot read, in a version of their own, and the view. The history keeps them."""
    op.execute("DROP VIEW routing_policies")
    op.execute("DROP FUNCTION centralcloud.configuration_at, centralcloud.configuration_changes")
    run_sql_file("0021_remove_new_kinds.sql")
