"""The daemon's settings: those of one process, and those of the whole fleet, from environment variables."""

from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from centralcloud.contracts import SettingsError
from centralcloud.ingest.slow_path import DEFAULT_MAX_ATTEMPTS
from centralcloud.learning.rule import Rule
from centralcloud.learning.rules import AdaptiveSettings, ThresholdSettings
from centralcloud.learning.rules.registry import make_rules
from centralcloud.learning.safety import SafetyLimits
from centralcloud.maintenance.retention import Retention
from centralcloud.monitoring.finding_rules import FindingThresholds
from centralcloud.runtime.process.schedule import parse_crontab
from centralcloud.runtime.settings import DatabaseUrl, ProgramSettings
from centralcloud.store.partitions import DEFAULT_WEEKS_AHEAD
from centralcloud.store.slices import References


class FleetSettings(BaseModel):
    """Settings that must be the same in every replica: they decide what is written to the database, whichever replica does it.

    Attributes:
        rule: the name of the active rule, whose scores are published.
        reference: caps of response times and costs in the evidence.
        retention: days that rows are kept.
        safety: how much one run of the learner may change.
        finding: thresholds of the findings.
        adaptive, threshold: constants of the two built-in rules.
    """

    model_config = ConfigDict(frozen=True)

    rule: str = "threshold"
    reference: References = References()
    retention: Retention = Retention()
    safety: SafetyLimits = SafetyLimits()
    finding: FindingThresholds = FindingThresholds()
    adaptive: AdaptiveSettings = AdaptiveSettings()
    threshold: ThresholdSettings = ThresholdSettings()

    @property
    def rules(self) -> list[Rule]:
        """Every rule with its constants, the active one first.

        Raises:
            SettingsError: the active one is unknown.
            BadRuleError: an installed one cannot be used.
        """
        rules = make_rules({"threshold": self.threshold, "adaptive": self.adaptive})
        active = rules.pop(self.rule, None)
        if active is None:
            raise SettingsError(f"CENTRALCLOUD_RULE is {self.rule!r}: expected one of {', '.join(sorted(rules))}")
        return [active, *rules.values()]


class Settings(ProgramSettings, FleetSettings):
    """The environment of a daemon; docs/reference/settings.md lists the variables.

    A field is the variable CENTRALCLOUD_<NAME>, a field of a group of the fleet settings CENTRALCLOUD_<GROUP>_<NAME>.
    """

    model_config = SettingsConfigDict(
        env_prefix="CENTRALCLOUD_",
        env_nested_delimiter="_",
        env_nested_max_split=1,
        nested_model_default_partial_update=True,
        extra="ignore",
    )

    database_url: DatabaseUrl | None = Field(
        default=None, validation_alias=AliasChoices("CENTRALCLOUD_DATABASE_URL", "DATABASE_URL")
    )
    database_url_file: Path | None = Field(
        default=None, validation_alias=AliasChoices("CENTRALCLOUD_DATABASE_URL_FILE", "DATABASE_URL_FILE")
    )
    poll_interval_seconds: float = Field(default=5.0, ge=0.01, le=3600)
    batch_size: int = Field(default=1000, ge=1, le=10_000)
    consumers: int = Field(default=2, ge=1, le=32)
    max_attempts: int = Field(default=DEFAULT_MAX_ATTEMPTS, ge=1, le=100)
    learn_interval_seconds: float = Field(default=60.0, ge=0.1, le=86_400)
    learn_schedule: str | None = None
    learn_after_outcomes: int = Field(default=50, ge=0, le=1_000_000)
    observation_interval_seconds: float = Field(default=15.0, ge=0.1, le=3600)
    maintenance_interval_seconds: float = Field(default=3600.0, ge=1, le=86_400)
    maintenance_schedule: str | None = None
    partitions_ahead_weeks: int = Field(default=DEFAULT_WEEKS_AHEAD, ge=1, le=520)

    @field_validator("learn_schedule", "maintenance_schedule")
    @classmethod
    def _is_crontab(cls, value: str | None, info: ValidationInfo) -> str | None:
        try:
            if value is not None:
                parse_crontab(value)
        except ValueError as error:
            raise SettingsError(f"CENTRALCLOUD_{str(info.field_name).upper()} is {value!r}: {error}") from None
        return value

    @property
    def fleet(self) -> FleetSettings:
        """The settings of the whole fleet, as this process's environment has them."""
        values: dict[str, Any] = {name: getattr(self, name) for name in FleetSettings.model_fields}
        return FleetSettings(**values)
