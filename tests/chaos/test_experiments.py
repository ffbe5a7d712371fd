"""Canaries end to end: three gateways with simulated models, a worker that judges, and what breaks in the middle."""

import time
from collections.abc import Iterator, Sequence

import pytest
from support.experiment_fleet import FAST, INCUMBENT, ExperimentFleet, SessionClients, an_experiment_fleet
from support.servers import execute
from support.waiting import eventually

#: The success of the incumbent's answers; a check of the gateway finds the wrong ones.
_SUCCESS = 0.8
#: Decisions of the time that is folded, by the records alone: those that were there when that time was folded, and all. A
#: gateway that was killed sends the others when it is back.
_DUE = """
SELECT count(*) FILTER (WHERE d.created_at < d.timestamp + %(within)s * interval '1 second'), count(*)
FROM routing_records AS d, experiment_progress AS p
WHERE d.experiment = %(id)s AND p.experiment_id = d.experiment AND d.timestamp >= p.began AND d.timestamp < p.folded_until
    AND d.arm_share IS NOT NULL AND coalesce(d.attempt, 1) = 1 AND d.outcome = 'routed'
"""
#: Each decision counts, but for those of sessions that came back after they had ended: on a busy machine a client may pause
#: for longer than the second after which they do.
_FOLDED = """
SELECT sum((arm->>'requests')::bigint + (arm->>'returned')::bigint)::bigint
FROM experiment_results AS r, jsonb_path_query(r.facts, '$.*[*] ? (exists (@.returned))') AS arm
WHERE r.experiment_id = %(id)s AND r.metric = 'comparison'
"""


@pytest.fixture(scope="module")
def running_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExperimentFleet]:
    with an_experiment_fleet(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture
def fleet(running_fleet: ExperimentFleet) -> ExperimentFleet:
    """The fleet: the incumbent is right in 80% of its answers, and no provider fails."""
    for provider in ("atlas", "borealis", "cirrus", "dune", "ember"):
        running_fleet.change(f"providers/{provider}-cloud", error_rate=0.0)
    running_fleet.change(f"models/{INCUMBENT}", success_rate=_SUCCESS)
    running_fleet.change("models/atlas-large", success_rate=0.99)
    running_fleet.change("models/cirrus-mini", success_rate=_SUCCESS)
    running_fleet.change("models/dune-code", success_rate=0.4)
    return running_fleet


def assert_folded_once(fleet: ExperimentFleet, experiment: str) -> int:
    """Check that the evidence has each decision that was due, by a recount of the records; return how many it has.

    0, where the guard of first outcomes has rolled the canary back before the first ones were due.
    """
    ((in_time, due),) = execute(fleet.server.url, _DUE, {"id": experiment, "within": FAST["outcomeWithinSeconds"]})
    ((folded,),) = execute(fleet.server.url, _FOLDED, {"id": experiment})
    assert in_time <= folded, f"{experiment}: {folded} are folded of {in_time}: some were left out"
    assert folded <= due, f"{experiment}: {folded} are folded of {due}: some twice"
    return int(folded)


def left_early(fleet: ExperimentFleet, clients: SessionClients, task_type: str) -> list[str]:
    """Return the sessions of a canary that was promoted which went from treatment back to control.

    Those with an answer within a second after a change are left out: replicas learn of it one after the other.
    """
    moved, changes = [], fleet.changes
    for session, answers in clients.arms.items():
        arms = [arm for _, arm in answers]
        is_settled = not any(0.0 <= at - change <= 1.0 for at, _ in answers for change in changes)
        went_back = "new" in arms and set(arms[arms.index("new") :]) != {"new"}
        if session.startswith(task_type) and went_back and is_settled:
            moved.append(session)
    return moved


def wait_for_answers(clients: SessionClients, count: int) -> None:
    enough = sum(clients.models.values()) + count
    eventually(lambda: sum(clients.models.values()) >= enough, within_seconds=90, what=f"{count} more answers")


def wait_for_share(fleet: ExperimentFleet, experiment: str, share: float) -> None:
    eventually(
        lambda: fleet.stage(experiment)["share"] >= share or fleet.stage(experiment)["status"] != "running",
        within_seconds=90,
        what=f"a share of {share:.0%} of {experiment}",
    )


_MODELS = {"better": "atlas-large", "equal": "cirrus-mini", "worse": "dune-code", "dead": "ember-reason"}
_ENDS = {"better": "promoted", "equal": "promoted", "worse": "rolledBack", "dead": "rolledBack"}


@pytest.mark.parametrize(
    "names", [("better", "dead"), pytest.param(("better", "equal", "worse", "dead"), marks=pytest.mark.soak)], ids=len
)
def test_canaries_end_as_their_models_deserve_while_a_daemon_and_a_replica_are_killed(
    fleet: ExperimentFleet, names: Sequence[str]
) -> None:
    fleet.change("providers/ember-cloud", error_rate=1.0)
    with SessionClients(fleet, names) as clients:
        plans = {"better": {"requireBetter": True, "ratioLimit": 9.0}, "equal": {"margin": 0.15}}
        begun = {name: fleet.begin(name, _MODELS[name], **plans.get(name, {})) for name in names}
        wait_for_share(fleet, begun["better"], 0.25)
        fleet.worker.kill()
        wait_for_answers(clients, 100)
        fleet.start_worker()
        fleet.gateways[1].program.kill()
        wait_for_answers(clients, 100)
        fleet.start_again(1)
        found = {name: fleet.wait_until(each, "promoted", "rolledBack") for name, each in begun.items()}
        before = clients.models["new", _MODELS["better"]]
        eventually(lambda: clients.models["new", _MODELS["better"]] > before + 20, what="traffic of the promoted model")

    assert {name: stage["status"] for name, stage in found.items()} == {name: _ENDS[name] for name in names}
    assert not clients.errors
    assert left_early(fleet, clients, "better") == []
    folded = {name: assert_folded_once(fleet, each) for name, each in begun.items()}
    assert folded["better"] > 100
    printed = fleet.run("experiments", "show", begun["dead"])
    assert "rolled back" in printed
    served = clients.models["new", _MODELS["dead"]]
    assert served == 0, "a dead model answered"


@pytest.mark.soak
def test_an_outage_of_control_promotes_no_worse_model(fleet: ExperimentFleet) -> None:
    """For a second the incumbent fails altogether: the minute rule and the cap of a window keep that from being evidence."""
    fleet.change("models/dune-code", success_rate=0.68)
    with SessionClients(fleet, ("outage",)) as clients:
        begun = fleet.begin("outage", "dune-code")
        wait_for_share(fleet, begun, 0.25)
        wait_for_answers(clients, 1500)
        fleet.change("providers/borealis-cloud", error_rate=1.0)
        time.sleep(1.0)  # the length of the outage, not a wait for anything
        fleet.change("providers/borealis-cloud", error_rate=0.0)
        wait_for_answers(clients, 2000)
        assert fleet.stage(begun)["status"] in ("running", "rolledBack")
    fleet.run("experiments", "stop", begun, check=False)


@pytest.mark.soak
def test_a_database_that_is_away_moves_no_session_and_the_canary_goes_on(
    fleet: ExperimentFleet, request: pytest.FixtureRequest
) -> None:
    """For two minutes; in a short soak half a minute."""
    seconds = min(120.0, max(30.0, request.config.option.soak_seconds))
    with SessionClients(fleet, ("away",)) as clients:
        begun = fleet.begin("away", "atlas-large", ratioLimit=9.0, steps=[0.25, 0.5], dwellSeconds=20.0)
        eventually(lambda: clients.models["new", "atlas-large"] > 20, what="sessions with the treatment")
        fleet.server.stop()
        began = time.time()
        eventually(lambda: time.time() - began > seconds, within_seconds=seconds + 60, what="the time of the outage")
        ended = time.time()
        fleet.server.start()
        fleet.wait_until(begun, "promoted", within_seconds=240)
    assert not clients.errors
    during = {arm for answers in clients.arms.values() for at, arm in answers if began < at < ended}
    assert {"new", "control"} <= during, "gateways know the arms without the database"
    assert left_early(fleet, clients, "away") == []
    assert assert_folded_once(fleet, begun) > 100
