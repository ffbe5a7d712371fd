"""The pages on the catalog and on routing name every field, reason and task type; their YAML is valid."""

import re
from pathlib import Path
from typing import get_args

import pytest
from support.repository import REPOSITORY

from centralcloud.contracts.task_classifier import TASK_TYPES
from instance_agent.catalog.catalog_file import built_in_entries
from instance_agent.catalog.model import Endpoint, Model, TimeLimits
from instance_agent.catalog.provider import Provider
from instance_agent.catalog.source import CatalogSource
from instance_agent.routing.constraints import RELAXATIONS
from instance_agent.routing.plan import PlanKind
from instance_agent.routing.struck import Struck

CATALOG = (REPOSITORY / "docs/reference/catalog.md").read_text()
GATEWAY = (REPOSITORY / "docs/reference/gateway.md").read_text()
ROUTING = (REPOSITORY / "docs/explanation/routing.md").read_text()


@pytest.mark.parametrize("entry", [Model, Provider, Endpoint, TimeLimits])
def test_every_field_has_its_row(entry: type) -> None:
    rows = set(re.findall(r"^\| `(\w+)` \|", CATALOG, re.MULTILINE))
    assert set(entry.model_fields) <= rows  # type: ignore[attr-defined]


def test_the_example_of_the_page_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", CATALOG, re.DOTALL)
    path = tmp_path / "catalog.yaml"
    path.write_text(example)
    configuration = CatalogSource(path, {"HERE_KEY": "key"}).build()
    assert [target.problem for target in configuration.targets["house-model"]] == [None, None, None]
    assert configuration.resolve("gpt-4") == ("house-model", "gpt-4")


def test_every_key_of_the_built_in_catalog_is_named() -> None:
    for provider in built_in_entries().providers:
        assert f"`{provider.provider}`" in CATALOG
        if provider.api_key is not None:
            assert f"`{provider.api_key.removeprefix('env:')}`" in CATALOG


def test_every_reason_has_its_row_and_relaxations_stand_in_their_order() -> None:
    relaxed = re.findall(r"^\| \d \| `(\w+)` \|", ROUTING, re.MULTILINE)
    assert relaxed == list(RELAXATIONS)
    source = (REPOSITORY / "instance_agent/routing/constraints.py").read_text()
    firm = set(re.findall(r'Struck\(target\.key, "(\w+)"', source)) | set(
        re.findall(r'Struck\(\s*target\.key,\s*"(\w+)"', source)
    )
    assert {"inactive", "deprecated", "model_type", "provider_unavailable", "input", "no_score"} == firm
    of_configuration = {"workspace_restriction", "compliance", "policy_cost", "budget", "not_in_catalog"}
    found = re.findall(r"``(\w+)``", Struck.__doc__ or "")
    assert set(found) == firm | of_configuration
    assert set(found) <= set(re.findall(r"^\| `(\w+)` \|", ROUTING, re.MULTILINE))
    codes = {"experiment", "policy", "rule", "canary", "agent", "forced", "best", "probe", "exploration", "session"}
    assert codes == set(get_args(PlanKind)) <= set(re.findall(r"`(\w+)`", GATEWAY))


def test_every_task_type_is_named() -> None:
    assert all(f"`{task_type}`" in ROUTING for task_type in TASK_TYPES)
