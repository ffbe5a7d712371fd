"""An instance acknowledges no version that the database has not published."""

from centralcloud.store.schema import run_sql_file

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): only the body of one function differs.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("functions/acknowledge.v2.sql")
    run_sql_file("0012_acknowledged_versions.sql")


def downgrade() -> None:
    run_sql_file("functions/acknowledge.v1.sql")
