"""The daemon's settings: environment variables, prefix CENTRALCLOUD_."""

from decimal import Decimal

from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import SettingsConfigDict

from centralcloud.ingest.careful_path import DEFAULT_MAX_ATTEMPTS
from centralcloud.learning.rules import ThresholdRule, ThresholdSettings
from centralcloud.runtime.configuration import DatabaseUrl, ProgramSettings, SettingsError
from centralcloud.store.partitions import DEFAULT_WEEKS_AHEAD


class Settings(ProgramSettings):
    """Every field is the environment variable CENTRALCLOUD_<NAME>; docs/reference/settings.md lists them."""

    model_config = SettingsConfigDict(env_prefix="CENTRALCLOUD_")

    database_url: DatabaseUrl | None = Field(
        default=None, validation_alias=AliasChoices("CENTRALCLOUD_DATABASE_URL", "DATABASE_URL")
    )
    poll_interval_seconds: float = Field(default=5.0, ge=0.01, le=3600)
    batch_size: int = Field(default=1000, ge=1, le=10_000)
    consumers: int = Field(default=2, ge=1, le=32)
    max_attempts: int = Field(default=DEFAULT_MAX_ATTEMPTS, ge=1, le=100)
    learn_interval_seconds: float = Field(default=60.0, ge=0.1, le=86_400)
    maintenance_interval_seconds: float = Field(default=3600.0, ge=1, le=86_400)
    retention_days: int = Field(default=90, ge=0, le=36_500)
    resend_window_days: int = Field(default=7, ge=1, le=3650)
    score_update_retention_days: int = Field(default=30, ge=1, le=3650)
    performance_retention_days: int = Field(default=400, ge=1, le=36_500)
    dead_letter_retention_days: int = Field(default=30, ge=1, le=36_500)
    partitions_ahead_weeks: int = Field(default=DEFAULT_WEEKS_AHEAD, ge=1, le=520)

    threshold_min_samples: int = Field(default=100, ge=1)
    threshold_success_rate: Decimal = Field(default=Decimal("0.95"), ge=0, le=1)
    threshold_low_success_rate: Decimal | None = Field(default=None, ge=0, le=1)
    threshold_success_step: Decimal = Field(default=Decimal("0.2"), ge=0, le=5, decimal_places=3)
    threshold_slow_response_ms: Decimal = Field(default=Decimal(2000), ge=0)
    threshold_fast_response_ms: Decimal | None = Field(default=None, ge=0)
    threshold_speed_step: Decimal = Field(default=Decimal("0.1"), ge=0, le=5, decimal_places=3)

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
    def rule(self) -> ThresholdRule:
        """The learning rule with its constants."""
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
