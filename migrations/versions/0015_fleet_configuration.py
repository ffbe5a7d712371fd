"""The configuration of the fleet under one version, its history, and the posted health of models."""

from centralcloud.store.schema import run_sql_file

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0015_fleet_configuration.sql")
    run_sql_file("functions/configuration_since.v1.sql")
    run_sql_file("functions/lock_configuration.v1.sql")
    run_sql_file("functions/write_configuration.v1.sql")
    run_sql_file("functions/report_model_health.v1.sql")
    run_sql_file("0015_grants.sql")


def downgrade() -> None:
    """Remove the configuration and its history. The log keeps the actions on it."""
    run_sql_file("0015_drop.sql")
