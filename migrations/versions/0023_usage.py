"""Use and cost by workspace, key, policy, worker and task: roll-ups, the functions that sum them, and the seeds' tables."""

from centralcloud.store.schema import run_sql_file

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"

_FUNCTIONS = (
    "usage_key", "calendar_periods", "usage_totals", "usage_escalations", "usage_until", "recent_requests",
)  # fmt: skip


def upgrade() -> None:
    run_sql_file("0023_usage.sql")
    for function in _FUNCTIONS:
        run_sql_file(f"functions/{function}.v1.sql")
    run_sql_file("views/seed_tables.v1.sql")
    run_sql_file("0023_grants.sql")


def downgrade() -> None:
    """Remove the sums, their functions and the views. The records of calls stay, and are summed again after an upgrade."""
    run_sql_file("0023_drop.sql")
