"""Partitions that sidestep other tables, and the server's clock as the daemons have seen it."""

from centralcloud.store.schema import grant_rights, run_sql_file

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name the new table.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0011_server_clock.sql")
    grant_rights("server_clock")
    run_sql_file("functions/ensure_partitions.v2.sql")


def downgrade() -> None:
    run_sql_file("functions/ensure_partitions.v1.sql")
    run_sql_file("0011_drop.sql")
