"""docs/reference/fleet-configuration.md has every field of every entry, and no other."""

import re

import pytest
from msgspec import Struct
from support.repository import REPOSITORY

from centralcloud.contracts.fleet_configuration import (
    AgentPreferences,
    Budget,
    Condition,
    Experiment,
    ExperimentPlan,
    ExperimentStage,
    RegisteredEndpoint,
    RegisteredModel,
    RoutingPolicy,
    RoutingRule,
    TaskPolicy,
    Workspace,
)

SECTIONS: dict[str, type[Struct]] = {
    "## Model": RegisteredModel,
    "## Endpoint": RegisteredEndpoint,
    "## Policy": RoutingPolicy,
    "## Task type": TaskPolicy,
    "## Rule": RoutingRule,
    "### Condition": Condition,
    "## Agent": AgentPreferences,
    "## Workspace": Workspace,
    "## Budget": Budget,
    "## Experiment": Experiment,
    "### Plan": ExperimentPlan,
    "### Stage": ExperimentStage,
}


@pytest.mark.parametrize("heading", SECTIONS)
def test_the_table_of_an_entry_has_every_field_and_no_other(heading: str) -> None:
    page = (REPOSITORY / "docs/reference/fleet-configuration.md").read_text()
    table = page.partition(f"\n{heading}\n")[2].partition("\n| field |")[2].partition("\n\n")[0]
    named = {
        name for row in table.splitlines() for name in re.findall(r"`([\w]+)`", row.split("|")[1] if "|" in row else "")
    }
    assert named == set(SECTIONS[heading].__struct_encode_fields__)
