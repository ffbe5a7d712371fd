"""Fleet settings: their names, their flat form, and one line for a wrong value."""

from decimal import Decimal
from typing import Any

import pytest

from centralcloud.contracts import SettingsError
from centralcloud.learning.rules import ThresholdSettings
from centralcloud.runtime.settings import load_settings, variables_of
from centralcloud.settings import FLEET_SETTINGS, FleetSettings, Settings

#: Values other than the defaults, of every type.
VALUES: dict[str, Any] = {
    "rule": "adaptive",
    "reference.latency_ms": 3000,
    "reference.cost_usd": 0.5,
    "retention.records_days": 0,
    "safety.moved_step": 0.25,
    "threshold.success_rate": 0.99,
    "threshold.low_success_rate": 0.85,
    "threshold.slow_response_ms": 1500,
}


def test_the_flat_form_and_back() -> None:
    settings = FleetSettings.unflatten(VALUES)
    assert settings.threshold.success_rate == Decimal("0.99")
    assert settings.retention.records_days == 0
    assert settings.rules[0].name == "adaptive"
    flat = settings.flatten()
    assert flat.keys() == FLEET_SETTINGS.keys()
    assert flat.items() >= VALUES.items()
    assert FleetSettings.unflatten(flat) == settings
    assert FleetSettings.unflatten({name: str(value) for name, value in VALUES.items()}) == settings, "as text"


def test_what_is_missing_has_its_default_and_what_is_unknown_is_ignored() -> None:
    assert FleetSettings.unflatten({"retention.moon_phases": 3, "moon": {"phase": 1}}) == FleetSettings()
    defaults = {name: setting.default for name, setting in FLEET_SETTINGS.items()}
    assert FleetSettings().flatten() == defaults


def test_every_fleet_setting_has_the_variable_that_the_environment_is_read_by() -> None:
    variables = variables_of(Settings)
    for name, setting in FLEET_SETTINGS.items():
        assert setting.variable in variables, name


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"rule": "bandit"}, "rule is 'bandit': expected one of adaptive, threshold"),
        ({"safety.moved_share": 7}, "safety.moved_share is '7': expected at most 1"),
        ({"retention.records_days": "long"}, "retention.records_days is 'long': expected a whole number"),
        ({"retention.records_days": None}, "retention.records_days is 'None': expected a whole number"),
        (
            {"reference.cost_usd": "nan"},
            "reference.cost_usd is 'nan': expected a finite number",
        ),
        ({"finding.success_rate": {"a": 1}}, "finding.success_rate is "),
        (
            {"threshold.success_rate": 0.8, "threshold.low_success_rate": 0.9},
            "threshold.low_success_rate is '0.9': expected at most 0.8, the value of success_rate",
        ),
    ],
)
def test_a_wrong_value_is_one_line_with_its_name(values: dict[str, Any], line: str) -> None:
    with pytest.raises(SettingsError) as refused:
        FleetSettings.unflatten(values)
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


def test_the_environment_sets_only_what_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CENTRALCLOUD_RETENTION_RECORDS_DAYS", "5")
    monkeypatch.setenv("CENTRALCLOUD_THRESHOLD_SUCCESS_RATE", "0.95")  # the default, and said all the same
    monkeypatch.setenv("CENTRALCLOUD_SAFETY_MOVED_STEP", "")
    settings = load_settings(Settings)
    assert settings.explicit_fleet_settings == {"retention.records_days": 5, "threshold.success_rate": 0.95}
    assert settings.fleet.retention.decision_ids_days == 7, "the others of a group have their defaults"
    assert settings.fleet.threshold == ThresholdSettings()
    monkeypatch.setenv("CENTRALCLOUD_RULE", "adaptive")
    assert load_settings(Settings).explicit_fleet_settings["rule"] == "adaptive"


def test_a_boolean_is_not_a_number_of_days() -> None:
    with pytest.raises(SettingsError, match=r"^retention.records_days is true: expected a value like 90$"):
        FleetSettings.unflatten({"retention.records_days": True})
