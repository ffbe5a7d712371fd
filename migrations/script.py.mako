"""${message}"""

from centralcloud.store.schema import run_sql_file

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md). Without it: this one.
oldest_code = ${repr(up_revision)}


def upgrade() -> None:
    run_sql_file("${up_revision}_up.sql")


def downgrade() -> None:
    run_sql_file("${up_revision}_drop.sql")
