"""The state of rules in a column of its own, evidence as a view, and counters updated by one function."""

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md).
oldest_code = "0003"


def upgrade() -> None:
    """Add nothing yet."""


def downgrade() -> None:
    """Remove what this revision added."""
