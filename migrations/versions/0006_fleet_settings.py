"""Settings of the whole fleet, and the log of operators' actions."""

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md).
oldest_code = "0003"


def upgrade() -> None:
    """Add nothing yet."""


def downgrade() -> None:
    """Remove what this revision added."""
