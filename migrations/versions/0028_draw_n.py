"""The number of outcomes that routers draw from, beside the one that an estimate is worth."""

from centralcloud.store.schema import grant_rights, run_sql_file

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("functions/forget_draw_n.v1.sql")
    run_sql_file("0028_draw_n.sql")
    grant_rights("model_scores", functions=["centralcloud.forget_draw_n"])


def downgrade() -> None:
    """Remove the number. Routers that had it draw from `n_eff` again."""
    run_sql_file("0028_drop.sql")
