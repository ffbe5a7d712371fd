"""Every code that a page shows has words: no code name is on screen."""

import re
from pathlib import Path
from typing import get_args

import pytest

from centralcloud.contracts.limits import BLAMELESS_ERROR_KINDS
from centralcloud.contracts.model_choice.selection import SelectionMethod
from centralcloud.dashboard.pages import request_words as words
from instance_agent.routing import listed, planner, prepared, restrictions, routes, spend
from instance_agent.routing.constraints import RELAXATIONS
from instance_agent.routing.plan import Affinity, PlanKind
from instance_agent.routing.struck import Struck
from instance_agent.routing.task import Source

#: The codes that the docstring of `Struck` names, which its tests hold complete.
STRUCK = re.findall(r"``(\w+)``", str(Struck.__doc__))
PLACES = [*get_args(PlanKind), "endpoint", "fallback", "downgrade", "unscored"]


@pytest.mark.parametrize("code", [*STRUCK, *RELAXATIONS])
def test_each_reason_to_leave_a_target_out_has_words(code: str) -> None:
    assert " " in words.struck_words(code)
    assert "_" not in words.struck_words(code)


@pytest.mark.parametrize("code", RELAXATIONS)
def test_each_constraint_that_is_given_up_has_words(code: str) -> None:
    assert " " in words.relaxed_words(code)


@pytest.mark.parametrize("code", PLACES)
def test_each_place_in_a_plan_has_words(code: str) -> None:
    assert " " in words.place_words(code)


def test_the_other_codes_have_words() -> None:
    assert all(" " in words.method_words(each) for each in get_args(SelectionMethod))
    assert all(" " in words.session_words(each) for each in get_args(Affinity))
    assert all(" " in words.source_words(each) for each in get_args(Source))
    assert all(" " in words.error_words(each) for each in (*BLAMELESS_ERROR_KINDS, "provider", "timeout"))


def test_every_code_in_the_source_of_plans_is_known() -> None:
    """A code that `Struck` does not name would be on screen as it is."""
    known = {*STRUCK, *RELAXATIONS}
    for module in (listed, planner, prepared, restrictions, routes, spend):
        used = re.findall(r'Struck\(\s*[\w.]+,\s*"(\w+)"', Path(str(module.__file__)).read_text())
        assert set(used) <= known, module.__name__


def test_a_code_of_a_newer_program_is_shown_without_underscores() -> None:
    assert words.struck_words("phase_of_the_moon") == "phase of the moon"
