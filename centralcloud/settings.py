"""The daemon's settings: environment variables, prefix CENTRALCLOUD_."""

from decimal import Decimal
from pathlib import Path

from pydantic import AliasChoices, Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from centralcloud.contracts import SettingsError
from centralcloud.contracts.limits import MAX_COST_USD, MAX_INT4
from centralcloud.ingest.slow_path import DEFAULT_MAX_ATTEMPTS
from centralcloud.learning.rule import Rule
from centralcloud.learning.rules import AdaptiveRule, AdaptiveSettings, ThresholdRule, ThresholdSettings
from centralcloud.learning.rules.installed import installed_rules
from centralcloud.learning.safety import SafetyLimits
from centralcloud.monitoring.finding_rules import FindingThresholds
from centralcloud.runtime.process.schedule import parse_crontab
from centralcloud.runtime.settings import DatabaseUrl, ProgramSettings
from centralcloud.store.partitions import DEFAULT_WEEKS_AHEAD
from centralcloud.store.slices import References


class Settings(ProgramSettings):
    """Every field is the environment variable CENTRALCLOUD_<NAME>; docs/reference/settings.md lists them."""

    model_config = SettingsConfigDict(env_prefix="CENTRALCLOUD_")

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
    observation_interval_seconds: float = Field(default=15.0, ge=0.1, le=3600)
    maintenance_interval_seconds: float = Field(default=3600.0, ge=1, le=86_400)
    maintenance_schedule: str | None = None
    retention_days: int = Field(default=90, ge=0, le=36_500)
    resend_window_days: int = Field(default=7, ge=1, le=3650)
    score_update_retention_days: int = Field(default=30, ge=1, le=3650)
    performance_retention_days: int = Field(default=400, ge=1, le=36_500)
    dead_letter_retention_days: int = Field(default=30, ge=1, le=36_500)
    finding_retention_days: int = Field(default=90, ge=1, le=36_500)
    score_history_retention_days: int = Field(default=400, ge=1, le=36_500)
    partitions_ahead_weeks: int = Field(default=DEFAULT_WEEKS_AHEAD, ge=1, le=520)

    learning_rule: str = "threshold"
    learn_after_outcomes: int = Field(default=50, ge=0, le=1_000_000)
    moved_share_limit: float = Field(default=0.5, ge=0, le=1)
    moved_step_limit: Decimal = Field(default=Decimal("1.0"), ge=0, le=5)

    adaptive_latency_weight: float = Field(default=0.1, ge=0, le=1)
    adaptive_latency_ref_ms: int = Field(default=10_000, ge=1, le=MAX_INT4)
    adaptive_cost_weight: float = Field(default=0.0, ge=0, le=1)
    adaptive_cost_ref_usd: float = Field(default=0.01, gt=0, le=MAX_COST_USD)

    finding_success_rate: float = Field(default=0.85, ge=0, le=1)
    finding_slow_response_ms: int = Field(default=5000, ge=1, le=MAX_INT4)
    finding_min_outcomes: int = Field(default=30, ge=1, le=1_000_000)
    finding_newcomer_outcomes: int = Field(default=100, ge=0, le=1_000_000)
    finding_no_outcomes_decisions: int = Field(default=20, ge=1, le=1_000_000)
    finding_unresolved_share: float = Field(default=0.2, ge=0, le=1)
    finding_surge_rise: float = Field(default=0.1, ge=0, le=1)

    threshold_min_samples: int = Field(default=100, ge=1)
    threshold_success_rate: Decimal = Field(default=Decimal("0.95"), ge=0, le=1)
    threshold_low_success_rate: Decimal | None = Field(default=None, ge=0, le=1)
    threshold_success_step: Decimal = Field(default=Decimal("0.2"), ge=0, le=5, decimal_places=3)
    threshold_slow_response_ms: Decimal = Field(default=Decimal(2000), ge=0)
    threshold_fast_response_ms: Decimal | None = Field(default=None, ge=0)
    threshold_speed_step: Decimal = Field(default=Decimal("0.1"), ge=0, le=5, decimal_places=3)

    @field_validator("learn_schedule", "maintenance_schedule")
    @classmethod
    def _is_crontab(cls, value: str | None, info: ValidationInfo) -> str | None:
        try:
            if value is not None:
                parse_crontab(value)
        except ValueError as error:
            raise SettingsError(f"CENTRALCLOUD_{str(info.field_name).upper()} is {value!r}: {error}") from None
        return value

    @model_validator(mode="after")
    def _dead_bands_have_a_width(self) -> "Settings":
        low, high = self.threshold_low_success_rate, self.threshold_success_rate
        if low is not None and low > high:
            raise SettingsError(
                f"CENTRALCLOUD_THRESHOLD_LOW_SUCCESS_RATE is {low}: expected at most {high}, the success rate"
            )
        fast, slow = self.threshold_fast_response_ms, self.threshold_slow_response_ms
        if fast is not None and fast > slow:
            raise SettingsError(
                f"CENTRALCLOUD_THRESHOLD_FAST_RESPONSE_MS is {fast}: expected at most {slow}, the slow time"
            )
        return self

    @property
    def rules(self) -> list[Rule]:
        """Every rule with its constants, the active one first.

        Raises:
            SettingsError: the active one is unknown.
            BadRuleError: an installed one cannot be used.
        """
        rules = {rule.name: rule for rule in (self._threshold_rule(), self._adaptive_rule(), *installed_rules())}
        active = rules.pop(self.learning_rule, None)
        if active is None:
            raise SettingsError(
                f"CENTRALCLOUD_LEARNING_RULE is {self.learning_rule!r}: expected one of {', '.join(sorted(rules))}"
            )
        return [active, *rules.values()]

    @property
    def references(self) -> References:
        """What response times and costs are capped at in the evidence."""
        return References(self.adaptive_latency_ref_ms, self.adaptive_cost_ref_usd)

    @property
    def safety_limits(self) -> SafetyLimits:
        """How much one run of the learner may move."""
        return SafetyLimits(moved_share=self.moved_share_limit, moved_step=self.moved_step_limit)

    @property
    def finding_thresholds(self) -> FindingThresholds:
        """From where on something is worth a finding."""
        return FindingThresholds(
            success_rate=self.finding_success_rate,
            slow_response_ms=self.finding_slow_response_ms,
            min_outcomes=self.finding_min_outcomes,
            newcomer_outcomes=self.finding_newcomer_outcomes,
            no_outcomes_decisions=self.finding_no_outcomes_decisions,
            unresolved_share=self.finding_unresolved_share,
            surge_rise=self.finding_surge_rise,
        )

    def _adaptive_rule(self) -> Rule:
        return AdaptiveRule(
            AdaptiveSettings(
                latency_weight=self.adaptive_latency_weight,
                cost_weight=self.adaptive_cost_weight,
            )
        )

    def _threshold_rule(self) -> Rule:
        return ThresholdRule(
            ThresholdSettings(
                min_samples=self.threshold_min_samples,
                success_rate=self.threshold_success_rate,
                low_success_rate=self.threshold_low_success_rate,
                success_step=self.threshold_success_step,
                slow_response_ms=self.threshold_slow_response_ms,
                fast_response_ms=self.threshold_fast_response_ms,
                speed_step=self.threshold_speed_step,
            )
        )
