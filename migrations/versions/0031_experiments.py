"""The evidence of experiments, their verdicts, and functions by which the daemon reads them and changes their stages."""

from centralcloud.store.schema import run_sql_file

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0031_experiments.sql")
    for function in (
        *("configuration_since.v2", "current_experiments.v1", "set_experiment_stage.v1", "start_score_canary.v1"),
        *("experiment_report.v1", "experiments_ever.v1", "models_heard_of.v1", "scope_traffic.v1"),
    ):
        run_sql_file(f"functions/{function}.sql")
    run_sql_file("0031_grants.sql")
    run_sql_file("0031_api_grants.sql")


def downgrade() -> None:
    """Remove the experiments with their evidence. The records keep their arms, the log of actions its rows."""
    run_sql_file("functions/configuration_since.v1.sql")
    run_sql_file("0031_drop.sql")
