"""TEMPORARY: stands for revision 0016 of another branch, which replaces it when both are merged."""

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

oldest_code = "0003"


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
