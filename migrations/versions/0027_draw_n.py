"""The number of outcomes that routers draw from, beside the one that an estimate is worth."""

from centralcloud.store.schema import run_sql_file

revision = "0027"
down_revision = "0025"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("functions/forget_draw_n.v1.sql")
    run_sql_file("0027_draw_n.sql")


def downgrade() -> None:
    """Remove the number. Routers that had it draw from `n_eff` again."""
    run_sql_file("0027_drop.sql")
