"""The page on execution names the defaults of the code."""

import re

from support.repository import REPOSITORY

from instance_agent.execution.circuit_breaker import BreakerSettings
from instance_agent.execution.settings import ExecutionSettings
from instance_agent.execution.walk import WalkSettings


def test_the_page_has_every_setting_of_walks_and_breakers_with_its_default() -> None:
    page = (REPOSITORY / "docs/explanation/how-a-request-is-executed.md").read_text()
    documented = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|$", page, re.MULTILINE))
    settings = (WalkSettings(), BreakerSettings())
    in_code = {name: getattr(each, name) for each in settings for name in each.__struct_fields__}
    assert {name: float(value) for name, value in documented.items()} == in_code


def test_what_changes_answers_or_costs_money_is_off_by_default() -> None:
    settings = ExecutionSettings()
    assert settings.keep_alive_seconds is None
    assert not settings.next_on_defect
    assert not settings.checks.cut_off
