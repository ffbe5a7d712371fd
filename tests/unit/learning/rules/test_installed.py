"""Rules of others: found by their entry point, made without arguments, refused in one line when they do not fit."""

from collections.abc import Callable
from pathlib import Path

import pytest

from centralcloud.contracts import SettingsError
from centralcloud.learning.rules.installed import BadRuleError, installed_rules
from centralcloud.settings import Settings

_RULE = """
from centralcloud.learning.rule import RuleResult

class Flat:
    name = "flat"
    eager = False

    def exclude(self, recent):
        return []

    def evaluate(self, evidence, state):
        return RuleResult([], {})

    def recompute(self, evidence, pair, after_slice, state):
        raise NotImplementedError

    def reset(self, state, score, after_slice):
        return {}

class Lacking:
    name = "lacking"
    eager = False

    def evaluate(self, evidence, state):
        return RuleResult([], {})

class Demanding(Flat):
    name = "demanding"

    def __init__(self, how_much):
        pass
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Installs a distribution with entry points: a folder on the path, as pip makes it."""

    def make(entry_points: str) -> None:
        (tmp_path / "flat_rules.py").write_text(_RULE)
        information = tmp_path / "flat_rules-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: flat-rules\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[centralcloud.rules]\n{entry_points}\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    return make


def test_without_others_there_are_the_rules_that_ship() -> None:
    assert list(installed_rules()) == []
    assert [rule.name for rule in Settings().rules] == ["threshold", "adaptive"]


def test_an_installed_rule_runs_in_the_shadow_or_when_it_is_named(install: Callable[[str], None]) -> None:
    install("flat = flat_rules:Flat")
    assert [rule.name for rule in Settings().rules] == ["threshold", "adaptive", "flat"]
    assert [rule.name for rule in Settings(rule="flat").rules] == ["flat", "threshold", "adaptive"]


def test_the_active_rule_is_only_the_first_of_all() -> None:
    assert [rule.name for rule in Settings(rule="adaptive").rules] == ["adaptive", "threshold"]


def test_a_rule_that_nobody_has_installed_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(SettingsError, match=r"CENTRALCLOUD_RULE is 'magic': expected one of adaptive, threshold"):
        _ = Settings(rule="magic").rules


@pytest.mark.parametrize(
    ("entry_point", "complaint"),
    [
        ("flat = nowhere:Flat", "cannot be used: ModuleNotFoundError"),
        ("flat = flat_rules:Absent", "cannot be used: AttributeError"),
        ("demanding = flat_rules:Demanding", "cannot be used: TypeError"),
        ("round = flat_rules:Flat", "found the name 'flat', expected a rule of the name 'round'"),
        ("lacking = flat_rules:Lacking", "found no exclude, recompute, reset, expected a rule"),
    ],
)
def test_what_is_no_rule_is_named(install: Callable[[str], None], entry_point: str, complaint: str) -> None:
    install(entry_point)
    name = entry_point.split(" ")[0]
    with pytest.raises(BadRuleError, match=f"entry point {name} = .* in centralcloud.rules: {complaint}") as refused:
        list(installed_rules())
    assert "\n" not in str(refused.value)
