"""The explanation of a request, for gateways, which may read no table."""

from centralcloud.store.schema import run_sql_file

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("functions/explain_request.v1.sql")
    run_sql_file("0016_grants.sql")


def downgrade() -> None:
    """Remove the function. Gateways explain the newest requests from their memory alone."""
    run_sql_file("0016_drop.sql")
