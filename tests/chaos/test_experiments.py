"""Canaries end to end: three gateways with simulated models, a worker that judges, and what breaks in the middle."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.experiment_fleet import INCUMBENT, ExperimentFleet, SessionClients, an_experiment_fleet
from support.servers import execute
from support.waiting import eventually

#: Of the incumbent, for JSON that a check of the gateway finds wrong otherwise.
_SUCCESS = 0.8
_COMPARED = (
    "SELECT count(*) FROM routing_records WHERE experiment = %s AND arm_share IS NOT NULL AND attempt = 1 "
    "AND first_of_decision AND outcome = 'routed'"
)


@pytest.fixture(scope="module")
def running_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExperimentFleet]:
    with an_experiment_fleet(tmp_path_factory.mktemp("fleet")) as fleet:
        for provider in ("atlas", "borealis", "cirrus", "dune", "ember"):
            fleet.change(f"providers/{provider}-cloud", error_rate=0.0)
        fleet.change(f"models/{INCUMBENT}", success_rate=_SUCCESS)
        yield fleet


def test_canaries_side_by_side_end_as_their_models_deserve(running_fleet: ExperimentFleet) -> None:
    fleet = running_fleet
    fleet.change("models/atlas-large", success_rate=0.99)
    fleet.change("models/cirrus-mini", success_rate=_SUCCESS)
    fleet.change("models/dune-code", success_rate=0.4)
    fleet.change("providers/ember-cloud", error_rate=1.0)
    begun = time.monotonic()
    with SessionClients(fleet, ("better", "equal", "worse", "dead")) as clients:
        better = fleet.begin("better", "atlas-large", requireBetter=True, ratioLimit=9.0)
        equal = fleet.begin("equal", "cirrus-mini", margin=0.15)
        worse = fleet.begin("worse", "dune-code")
        dead = fleet.begin("dead", "ember-reason")
        for each in (dead, worse):
            fleet.wait_until(each, "rolledBack", "promoted")
            print(each, round(time.monotonic() - begun, 1), fleet.stage(each), fleet.run("experiments", "show", each))
        for each in (better, equal):
            fleet.wait_until(each, "rolledBack", "promoted")
            print(each, round(time.monotonic() - begun, 1), fleet.stage(each), fleet.run("experiments", "show", each))
    print(clients.models, clients.errors)
    assert {each: fleet.stage(each)["status"] for each in (better, equal, worse, dead)} == {
        better: "promoted", equal: "promoted", worse: "rolledBack", dead: "rolledBack",
    }  # fmt: skip
    assert not clients.errors
