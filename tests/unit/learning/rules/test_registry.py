"""The registry of rules: built-in and installed ones are found, made and checked alike; a bad one is refused in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from centralcloud.contracts import SettingsError
from centralcloud.learning.rules import AdaptiveSettings
from centralcloud.learning.rules.registry import BUILT_IN_RULES, BadRuleError, make_rules
from centralcloud.settings import Settings

_RULE = """
from centralcloud.learning.rule import RuleResult, RuleState

class Flat:
    name = "flat"
    eager = False

    def exclude(self, recent):
        return []

    def evaluate(self, evidence, states):
        return RuleResult([], {})

    def recompute(self, evidence, pair, after_slice, state):
        raise NotImplementedError

    def reset(self, state, score, after_slice):
        return RuleState()

class Lacking:
    name = "lacking"
    eager = False

    def evaluate(self, evidence, states):
        return RuleResult([], {})

class Demanding(Flat):
    name = "demanding"

    def __init__(self, how_much):
        pass
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that installs a distribution with entry points into a folder on the path, as pip does."""

    def make(entry_points: str) -> None:
        (tmp_path / "flat_rules.py").write_text(_RULE)
        information = tmp_path / "flat_rules-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: flat-rules\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[centralcloud.rules]\n{entry_points}\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    return make


def test_without_installed_rules_only_the_built_in_ones_exist() -> None:
    assert tuple(make_rules()) == BUILT_IN_RULES == ("threshold", "adaptive")
    assert [rule.name for rule in Settings().rules] == ["threshold", "adaptive"]


def test_an_installed_rule_runs_in_the_shadow_or_when_it_is_named(install: Callable[[str], None]) -> None:
    install("flat = flat_rules:Flat")
    assert [rule.name for rule in Settings().rules] == ["threshold", "adaptive", "flat"]
    assert [rule.name for rule in Settings(rule="flat").rules] == ["flat", "threshold", "adaptive"]


def test_the_active_rule_is_only_the_first_of_all() -> None:
    assert [rule.name for rule in Settings(rule="adaptive").rules] == ["adaptive", "threshold"]


def test_settings_are_passed_to_the_rule_that_they_are_named_for() -> None:
    heavy = AdaptiveSettings(latency_weight=0.7)
    rules = make_rules({"adaptive": heavy})
    assert getattr(rules["adaptive"], "settings") == heavy  # noqa: B009 - not in the protocol
    assert [rule.name for rule in rules.values()] == ["threshold", "adaptive"]


def test_a_second_rule_of_the_same_name_is_refused(install: Callable[[str], None]) -> None:
    install("adaptive = flat_rules:Flat")
    with pytest.raises(BadRuleError, match=r"found a second rule named 'adaptive', expected another name"):
        make_rules()


def test_a_rule_that_is_not_installed_is_refused_with_the_names_of_those_that_are() -> None:
    with pytest.raises(SettingsError, match=r"CENTRALCLOUD_RULE is 'magic': expected one of adaptive, threshold"):
        _ = Settings(rule="magic").rules


@pytest.mark.parametrize(
    ("entry_point", "complaint"),
    [
        ("flat = nowhere:Flat", "cannot be used: ModuleNotFoundError"),
        ("flat = flat_rules:Absent", "cannot be used: AttributeError"),
        ("demanding = flat_rules:Demanding", "cannot be used: TypeError"),
        ("round = flat_rules:Flat", "found the name 'flat', expected a rule named 'round'"),
        ("lacking = flat_rules:Lacking", "found no exclude, recompute, reset, expected a rule"),
    ],
)
def test_a_class_that_is_not_a_rule_is_named(install: Callable[[str], None], entry_point: str, complaint: str) -> None:
    install(entry_point)
    name = entry_point.split(" ")[0]
    with pytest.raises(BadRuleError, match=f"entry point {name} = .* in centralcloud.rules: {complaint}") as refused:
        make_rules()
    assert "\n" not in str(refused.value)
