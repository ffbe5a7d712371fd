"""The settings of an instance: environment variables with the prefix INSTANCE_AGENT_, and a few established names."""

import socket
from pathlib import Path

import platformdirs
from pydantic import AliasChoices, Field
from pydantic_settings import SettingsConfigDict

from centralcloud.runtime.settings import DatabaseUrl, ProgramSettings
from instance_agent.routing.selection import SelectionMode


class AgentSettings(ProgramSettings):
    """The settings of an instance; docs/reference/settings.md lists the variables."""

    model_config = SettingsConfigDict(env_prefix="INSTANCE_AGENT_")

    database_url: DatabaseUrl | None = Field(
        default=None, validation_alias=AliasChoices("INSTANCE_AGENT_DATABASE_URL", "DATABASE_URL")
    )
    database_url_file: Path | None = Field(
        default=None, validation_alias=AliasChoices("INSTANCE_AGENT_DATABASE_URL_FILE", "DATABASE_URL_FILE")
    )
    instance_id: str = Field(
        default_factory=socket.gethostname, min_length=1, max_length=200, validation_alias=AliasChoices("INSTANCE_ID")
    )
    catalog: Path | None = None
    state_dir: Path | None = None
    poll_interval_seconds: float = Field(default=10.0, ge=0.01, le=3600)
    reconcile_interval_seconds: float = Field(default=60.0, ge=0.01, le=86_400)
    selection: SelectionMode = "auto"
    exploration: float = Field(default=0.0, ge=0, le=1)
    ignore_learned: bool = False
    pgmq_enabled: bool = Field(default=True, validation_alias=AliasChoices("EX_LLM_PGMQ_ENABLED"))
    publish_queue_size: int = Field(default=10_000, ge=1, le=10_000_000)

    @property
    def state_folder(self) -> Path:
        """Folder of the learned scores: `state_dir`, else a folder for this instance in the user's state folder."""
        return self.state_dir or platformdirs.user_state_path("instance-agent") / self.instance_id.replace("/", "_")
