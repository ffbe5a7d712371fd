"""The complexity of the tasks in the sums of use, and a function that sums by it: models are compared at equal tasks."""

from alembic import op

from centralcloud.store.schema import run_sql_file

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0026_usage_complexity.sql")
    run_sql_file("functions/usage_by_complexity.v1.sql")
    run_sql_file("0026_grants.sql")


def downgrade() -> None:
    """Remove the function and the column. Sums of one key that differ in the complexity stay as rows of their own."""
    op.execute("DROP FUNCTION centralcloud.usage_by_complexity(timestamptz, timestamptz, text)")
    op.execute("ALTER TABLE usage_roll_ups DROP COLUMN complexity")
