"""Counts of new model names by instance and hour, and the name under which further ones are summed."""

from centralcloud.store.schema import grant_rights, run_sql_file

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): a table and a row are added.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0013_model_name_limits.sql")
    grant_rights("new_model_names")


def downgrade() -> None:
    """Remove what this revision added. Events that were summed under the reserved name stay summed."""
    run_sql_file("0013_drop.sql")
