"""Trained classifiers of tasks, and which of them gateways use."""

from alembic import op

from centralcloud.store.schema import run_sql_file

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0029_task_classifiers.sql")
    run_sql_file("functions/task_classifier_in_use.v1.sql")
    run_sql_file("functions/task_classifier_model.v1.sql")
    run_sql_file("0029_grants.sql")


def downgrade() -> None:
    """Remove the trained classifiers. Gateways keep the one that they have until they start again."""
    op.execute("DROP FUNCTION centralcloud.task_classifier_model(bigint), centralcloud.task_classifier_in_use()")
    op.execute("DROP TABLE task_classifier_choices, task_classifiers")
