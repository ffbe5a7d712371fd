"""The ids of messages that left the queue, and the sequences compared with their tables."""

from centralcloud.store.schema import grant_rights, run_sql_file

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

#: The oldest revision whose code may run on this one (docs/how-to/upgrade.md): older code does not name what is new.
oldest_code = "0003"


def upgrade() -> None:
    run_sql_file("0010_message_ids.sql")
    run_sql_file("functions/sequence_positions.v1.sql")
    run_sql_file("functions/repair_sequences.v1.sql")
    grant_rights("message_ids", functions=("centralcloud.sequence_positions", "centralcloud.repair_sequences"))


def downgrade() -> None:
    run_sql_file("0010_drop.sql")
