"""Hints of gateways about the health of targets, results of health checks, and leases on probes and checks."""

from alembic import op

from centralcloud.store.schema import grant_rights, run_sql_file

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0018_target_health.sql")
    for function in ("report_target_health.v1", "current_target_health.v1", "claim_target_leases.v1"):
        run_sql_file(f"functions/{function}.sql")
    grant_rights("target_health")
    run_sql_file("0018_grants.sql")


def downgrade() -> None:
    """Remove the table and its functions. Each gateway goes by what it sees itself."""
    op.execute(
        "DROP FUNCTION centralcloud.report_target_health, centralcloud.current_target_health, "
        "centralcloud.claim_target_leases"
    )
    op.execute("DROP TABLE target_health")
