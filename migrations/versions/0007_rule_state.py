"""The state of rules in typed columns, evidence as a view, and counters updated by one function."""

from centralcloud.store.schema import run_sql_file

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): a trigger translates what older code writes.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("functions/sync_rule_state.v1.sql")
    run_sql_file("0007_rule_state.sql")
    for function in ("add_metrics.v1", "add_dropped_metrics.v1", "drop_expired_partition.v3"):
        run_sql_file(f"functions/{function}.sql")
    run_sql_file("0007_grants.sql")
    run_sql_file("0007_views.sql")


def downgrade() -> None:
    """Remove what this revision added. The states of rules stay as older code reads them."""
    run_sql_file("0007_views_drop.sql")
    run_sql_file("functions/drop_expired_partition.v2.sql")
    run_sql_file("0007_drop.sql")
