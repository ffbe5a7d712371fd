"""The settings of an instance: environment variables with the prefix INSTANCE_AGENT_, and a few established names."""

import os
import socket
from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import AfterValidator, AliasChoices, Field
from pydantic_settings import SettingsConfigDict

from centralcloud.contracts import SettingsError
from centralcloud.contracts.limits import MAX_ID_LENGTH
from centralcloud.contracts.text import read_name
from centralcloud.runtime.settings import DatabaseUrl, ProgramSettings
from instance_agent.routing.selection import SelectionMode
from instance_agent.sync.confirmed_events import DEFAULT_RESEND_EVENTS, DEFAULT_RESEND_SECONDS
from instance_agent.sync.event_queue import DEFAULT_QUEUE_BYTES, DEFAULT_QUEUE_SIZE
from instance_agent.sync.spool import DEFAULT_SPOOL_BYTES


def _plain_id(instance_id: str) -> str:
    """Return the id as ingest reads it from events, so that acknowledgements have the same one."""
    plain = read_name(instance_id, MAX_ID_LENGTH)
    if plain is None:
        raise ValueError(
            "expected an id without control, bidirectional or invisible characters, and not of spaces only"
        )
    return plain


InstanceId = Annotated[str, AfterValidator(_plain_id)]


class AgentSettings(ProgramSettings):
    """The settings of an instance, from environment variables: docs/reference/settings.md lists them with their ranges.

    `AgentSettings()` reads the environment; an argument of the name of an attribute takes precedence. A wrong value raises
    `pydantic.ValidationError`.

    Attributes:
        database_url: DATABASE_URL, the database.
        database_url_file: DATABASE_URL_FILE, a file that contains only the URL.
        instance_id: INSTANCE_ID, the id of this instance in events; the host name by default.
        catalog: INSTANCE_AGENT_CATALOG, the catalog YAML; None: no models.
        state_dir: INSTANCE_AGENT_STATE_DIR, the folder of learned scores; None: see `state_folder`.
        poll_interval_seconds: INSTANCE_AGENT_POLL_INTERVAL_SECONDS, longest wait before the next poll.
        reconcile_interval_seconds: INSTANCE_AGENT_RECONCILE_INTERVAL_SECONDS, how often every score is compared.
        selection: INSTANCE_AGENT_SELECTION, how the best model is found.
        exploration: INSTANCE_AGENT_EXPLORATION, share of decisions that take any suitable model, 0 to 1.
        ignore_learned: INSTANCE_AGENT_IGNORE_LEARNED, route by the YAML alone.
        pgmq_enabled: EX_LLM_PGMQ_ENABLED, whether decisions and outcomes are published.
        publish_queue_size: INSTANCE_AGENT_PUBLISH_QUEUE_SIZE, most events that wait in memory.
        publish_queue_bytes: INSTANCE_AGENT_PUBLISH_QUEUE_BYTES, most bytes of the events that wait in memory.
        resend_seconds: INSTANCE_AGENT_RESEND_SECONDS, how long confirmed events are kept for a failover; 0: not at all.
        resend_events: INSTANCE_AGENT_RESEND_EVENTS, most confirmed events that are kept.
        spool_dir: INSTANCE_AGENT_SPOOL_DIR, the folder that keeps events on disk until they are sent; None: none does.
        spool_bytes: INSTANCE_AGENT_SPOOL_BYTES, most bytes on disk.
    """

    model_config = SettingsConfigDict(env_prefix="INSTANCE_AGENT_")

    database_url: DatabaseUrl | None = Field(
        default=None, validation_alias=AliasChoices("INSTANCE_AGENT_DATABASE_URL", "DATABASE_URL")
    )
    database_url_file: Path | None = Field(
        default=None, validation_alias=AliasChoices("INSTANCE_AGENT_DATABASE_URL_FILE", "DATABASE_URL_FILE")
    )
    instance_id: InstanceId = Field(
        default_factory=socket.gethostname,
        min_length=1,
        max_length=MAX_ID_LENGTH,
        validation_alias=AliasChoices("INSTANCE_ID"),
    )
    catalog: Path | None = None
    state_dir: Path | None = None
    poll_interval_seconds: float = Field(default=10.0, ge=0.01, le=3600)
    reconcile_interval_seconds: float = Field(default=60.0, ge=0.01, le=86_400)
    selection: SelectionMode = "auto"
    exploration: float = Field(default=0.0, ge=0, le=1)
    ignore_learned: bool = False
    pgmq_enabled: bool = Field(default=True, validation_alias=AliasChoices("EX_LLM_PGMQ_ENABLED"))
    publish_queue_size: int = Field(default=DEFAULT_QUEUE_SIZE, ge=1, le=10_000_000)
    publish_queue_bytes: int = Field(default=DEFAULT_QUEUE_BYTES, ge=1_000_000, le=100_000_000_000)
    resend_seconds: float = Field(default=DEFAULT_RESEND_SECONDS, ge=0, le=3600)
    resend_events: int = Field(default=DEFAULT_RESEND_EVENTS, ge=0, le=10_000_000)
    spool_dir: Path | None = None
    spool_bytes: int = Field(default=DEFAULT_SPOOL_BYTES, ge=1_000_000, le=1_000_000_000_000)

    @property
    def state_folder(self) -> Path:
        """Folder of the learned scores: `state_dir`, else a folder for this instance in the user's state folder.

        Raises:
            SettingsError: neither is known.
        """
        if self.state_dir is not None:
            return self.state_dir
        try:
            folder = platformdirs.user_state_path("instance-agent")
        except RuntimeError:  # neither HOME nor an entry for this user
            raise SettingsError(
                f"INSTANCE_AGENT_STATE_DIR is not set, and uid {os.getuid()} has no home folder: set it to a folder that "
                "the agent may write"
            ) from None
        return folder / self.instance_id.replace("/", "_")

    @property
    def spool_folder(self) -> Path | None:
        """Folder of this instance in `spool_dir`: another instance may not be allowed to send its events."""
        return None if self.spool_dir is None else self.spool_dir / self.instance_id.replace("/", "_")
