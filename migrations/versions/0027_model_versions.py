"""The versions of models that answers name, and changes of them that providers or operators told."""

from alembic import op

from centralcloud.store.schema import grant_rights, run_sql_file

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0027_model_versions.sql")
    run_sql_file("functions/apply_feedback.v3.sql")
    for table in ("model_versions", "model_changes"):
        grant_rights(table)


def downgrade() -> None:
    """Remove the versions and the changes. The states of rules keep what they have learned from them."""
    run_sql_file("functions/apply_feedback.v2.sql")
    op.execute("ALTER TABLE learning_control DROP COLUMN versions_through_slice")
    op.execute("DROP TABLE model_changes, model_versions")
