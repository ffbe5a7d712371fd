"""The settings of a daemon: those of one process, and those of the whole fleet."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import SettingsConfigDict

from centralcloud.contracts import SettingsError
from centralcloud.contracts.limits import MAX_MESSAGE_BYTES
from centralcloud.contracts.words import format_operator_words, parse_operator_words
from centralcloud.ingest.batch_limits import DEFAULT_BATCH_BYTES
from centralcloud.ingest.name_limits import NameLimits
from centralcloud.ingest.slow_path import DEFAULT_MAX_ATTEMPTS
from centralcloud.learning.rule import Rule
from centralcloud.learning.rules import AdaptiveSettings, ThresholdSettings
from centralcloud.learning.rules.registry import make_rules
from centralcloud.learning.safety import SafetyLimits
from centralcloud.learning.settings import CanarySettings, LearningMinimum, PublicationMode
from centralcloud.maintenance.retention import Retention
from centralcloud.monitoring.finding_rules import FindingThresholds
from centralcloud.monitoring.webhook import check_address
from centralcloud.runtime.process.schedule import parse_crontab
from centralcloud.runtime.settings import DatabaseUrl, ProgramSettings, invalid_field
from centralcloud.store.partitions import DEFAULT_WEEKS_AHEAD
from centralcloud.store.slices import References

_PREFIX: Final = "CENTRALCLOUD_"


class WordSettings(BaseModel):
    """Words of other systems for complexities, outcomes and kinds of failure: "word=meaning, word=meaning", or None.

    They add to the table in docs/reference/messages.md, or give one of its words another meaning. The meaning of an outcome
    may be ``failure:timeout``, or of another kind.
    """

    model_config = ConfigDict(frozen=True)

    complexity: str | None = None
    outcome: str | None = None
    error_kind: str | None = None

    @field_validator("complexity", "outcome", "error_kind")
    @classmethod
    def _are_words(cls, value: str | None, info: ValidationInfo) -> str | None:
        return value and format_operator_words(parse_operator_words(str(info.field_name), value))


class FleetSettings(BaseModel):
    """Settings that must be the same in every replica: they decide what is written to the database.

    Attributes:
        rule: the name of the active rule, whose scores are published.
        publication: whether scores that change who leads are published at once, or go to a canary first.
        canary: when they do.
        reference: caps of response times and costs in the evidence.
        retention: days that rows are kept.
        safety: how much one run of the learner may change.
        finding: thresholds of the findings.
        words: words of other systems that an operator has added.
        names: limits of new model names.
        learning: the outcomes from which on a pair is learned.
        adaptive, threshold: constants of the two built-in rules.
    """

    model_config = ConfigDict(frozen=True)
    #: The name of `rule` in messages.
    rule_is_named: ClassVar[str] = "rule"

    rule: str = "threshold"
    publication: PublicationMode = "direct"
    canary: CanarySettings = CanarySettings()
    reference: References = References()
    retention: Retention = Retention()
    safety: SafetyLimits = SafetyLimits()
    finding: FindingThresholds = FindingThresholds()
    words: WordSettings = WordSettings()
    names: NameLimits = NameLimits()
    learning: LearningMinimum = LearningMinimum()
    adaptive: AdaptiveSettings = AdaptiveSettings()
    threshold: ThresholdSettings = ThresholdSettings()

    @cached_property
    def rules(self) -> list[Rule]:
        """Every rule with its constants, the active one first.

        Raises:
            SettingsError: the active one is unknown.
            BadRuleError: an installed one cannot be used.
        """
        rules = make_rules({"threshold": self.threshold, "adaptive": self.adaptive})
        active = rules.pop(self.rule, None)
        if active is None:
            raise SettingsError(f"{self.rule_is_named} is {self.rule!r}: expected one of {', '.join(sorted(rules))}")
        return [active, *rules.values()]

    def flatten(self) -> dict[str, Any]:
        """Every setting by its name (``rule``, ``retention.records_days``), as JSON values: decimals are numbers."""
        return {name: _json_value(_value_of(self, setting)) for name, setting in FLEET_SETTINGS.items()}

    @classmethod
    def unflatten(cls, values: Mapping[str, Any]) -> "FleetSettings":
        """The settings from `flatten`'s form. Missing names have their defaults; names of other versions are ignored.

        Raises:
            SettingsError: a value is wrong, on its own or together with another one; names it and what is expected.
            BadRuleError: an installed rule cannot be used.
        """
        nested: dict[str, Any] = {}
        for name, setting in FLEET_SETTINGS.items():
            if name in values:
                if isinstance(values[name], bool):  # which pydantic takes for 0 or 1
                    raise SettingsError(
                        f"{name} is {str(values[name]).lower()}: expected a value like {setting.default}"
                    )
                place = nested.setdefault(setting.group, {}) if setting.group else nested
                place[setting.field] = values[name]
        try:
            settings = cls(**nested)
        except ValidationError as error:
            wrong = invalid_field(error)
            raise SettingsError(f"{'.'.join(wrong.path)} is {str(wrong.found)!r}: {wrong.expected}") from None
        _ = settings.rules  # the active one is known
        return settings


class FleetSetting(NamedTuple):
    """One field of the fleet settings. `group` is empty for a field of `FleetSettings` itself."""

    group: str
    field: str
    info: FieldInfo

    @property
    def variable(self) -> str:
        """The environment variable that gives it its first value."""
        return _PREFIX + "_".join(filter(None, (self.group, self.field))).upper()

    @property
    def default(self) -> Any:
        """Its default, as a JSON value."""
        return _json_value(self.info.default)

    @property
    def may_be_unset(self) -> bool:
        """Whether None is one of its values."""
        return self.info.default is None


def _fleet_settings() -> dict[str, FleetSetting]:
    found = {}
    for name, info in FleetSettings.model_fields.items():
        group = info.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            for field, field_info in group.model_fields.items():
                found[f"{name}.{field}"] = FleetSetting(name, field, field_info)
        else:
            found[name] = FleetSetting("", name, info)
    return found


#: Every fleet setting by its name.
FLEET_SETTINGS: Final = _fleet_settings()


class Settings(ProgramSettings, FleetSettings):
    """The environment of a daemon; docs/reference/settings.md lists the variables.

    A field is the variable CENTRALCLOUD_<NAME>, a field of a group of the fleet settings CENTRALCLOUD_<GROUP>_<NAME>.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="_", env_nested_max_split=1, extra="ignore"
    )
    rule_is_named = f"{_PREFIX}RULE"

    database_url: DatabaseUrl | None = Field(
        default=None, validation_alias=AliasChoices("CENTRALCLOUD_DATABASE_URL", "DATABASE_URL")
    )
    database_url_file: Path | None = Field(
        default=None, validation_alias=AliasChoices("CENTRALCLOUD_DATABASE_URL_FILE", "DATABASE_URL_FILE")
    )
    poll_interval_seconds: float = Field(default=5.0, ge=0.01, le=3600)
    batch_size: int = Field(default=2500, ge=1, le=10_000)
    batch_bytes: int = Field(default=DEFAULT_BATCH_BYTES, ge=MAX_MESSAGE_BYTES, le=2**30)
    consumers: int = Field(default=2, ge=1, le=32)
    max_attempts: int = Field(default=DEFAULT_MAX_ATTEMPTS, ge=1, le=100)
    learn_interval_seconds: float = Field(default=60.0, ge=0.1, le=86_400)
    learn_schedule: str | None = None
    learn_after_outcomes: int = Field(default=50, ge=0, le=1_000_000)
    experiments_interval_seconds: float = Field(default=5.0, ge=0.1, le=30)
    table_metrics_interval_seconds: float = Field(default=15.0, ge=0.1, le=3600)
    maintenance_interval_seconds: float = Field(default=3600.0, ge=1, le=86_400)
    maintenance_schedule: str | None = None
    partitions_ahead_weeks: int = Field(default=DEFAULT_WEEKS_AHEAD, ge=1, le=520)
    webhook_url: str | None = None
    webhook_secret: str | None = Field(default=None, min_length=16, repr=False)

    @field_validator("learn_schedule", "maintenance_schedule")
    @classmethod
    def _is_crontab(cls, value: str | None, info: ValidationInfo) -> str | None:
        try:
            if value is not None:
                parse_crontab(value)
        except ValueError as error:
            raise SettingsError(f"CENTRALCLOUD_{str(info.field_name).upper()} is {value!r}: {error}") from None
        return value

    @field_validator("webhook_url")
    @classmethod
    def _is_webhook(cls, value: str | None) -> str | None:
        if value is not None and (problem := check_address(value)) is not None:
            raise SettingsError(f"CENTRALCLOUD_WEBHOOK_URL cannot be used: {problem}")
        return value

    @property
    def fleet(self) -> FleetSettings:
        """The fleet settings of this process's environment."""
        values: dict[str, Any] = {name: getattr(self, name) for name in FleetSettings.model_fields}
        return FleetSettings(**values)

    @property
    def explicit_fleet_settings(self) -> dict[str, Any]:
        """The fleet settings that this process's environment sets, by name, as JSON values."""
        return {
            name: _json_value(_value_of(self, setting))
            for name, setting in FLEET_SETTINGS.items()
            if (setting.group or setting.field) in self.model_fields_set
            and (not setting.group or setting.field in getattr(self, setting.group).model_fields_set)
        }


def _value_of(settings: FleetSettings, setting: FleetSetting) -> Any:
    return getattr(getattr(settings, setting.group) if setting.group else settings, setting.field)


def _json_value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value
