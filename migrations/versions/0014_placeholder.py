"""Nothing: holds the place of the revision that is written at the same time."""

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

oldest_code = "0003"


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
