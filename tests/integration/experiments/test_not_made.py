"""A request whose arm's first choice was not called has failed in its arm; the rest of it counts as it is."""

from datetime import timedelta
from typing import Any

import pytest
from support.experiment_events import BEGAN, Asked, an_experiment, events_of
from support.ingest import ingest

from centralcloud.contracts.canary import Facts
from centralcloud.contracts.experiment_arms import Split, assign, position_of
from centralcloud.experiments.folding import fold
from centralcloud.experiments.results import read_results
from centralcloud.runtime.postgres.database import Database

#: The numbers of sessions in the order in which they are drawn for the treatment.
TREATED = [n for n in range(40) if assign(position_of("greeting", "salt", f"{n:016x}"), Split(1, 0.5)).treatment == 0]


def facts_of(database: Database) -> dict[str, dict[str, Any]]:
    folded_until(database, 4 * 3600)
    with database.transaction() as connection:
        return {each.metric: each.facts["treatment"] for each in read_results(connection)}


def marked(reason: str, asked: Asked) -> list[dict[str, Any]]:
    events = events_of(asked)
    for event in events:
        if event["routing_decision"]["attempt"] == 1:
            event["routing_decision"]["not_made"] = reason
    return events


def test_the_first_attempt_has_failed_and_the_request_counts_as_it_was(database: Database, database_url: str) -> None:
    sessions = iter(TREATED)
    events = [
        *events_of(Asked(1, "new", session=next(sessions))),
        # Another model has answered at once.
        *marked("waits", Asked(2, "new", session=next(sessions), ms=300, cost=0.01)),
        # It was rewarded, and waits for feedback no more: that is about another model.
        *marked("untranslatable", Asked(3, "new", session=next(sessions), reward=1.0)),
        # The client went away while another model answered: the first attempt had been missed before.
        *marked("unpaid", Asked(4, "new", session=next(sessions), success=False, kind="caller", ms=None)),
        # No model was called at all: a failure of the request, too.
        *marked("unserved", Asked(5, "new", session=next(sessions), success=False, kind="policy", ms=None)),
    ]
    ingest(database, database_url, events)
    facts = facts_of(database)
    counts = {metric: (facts[metric]["outcomes"], facts[metric]["sum"]) for metric in ("success", "request_success")}
    assert counts == {"success": (5, 1.0), "request_success": (4, 3.0)}
    assert (facts["latency"]["outcomes"], facts["latency"]["sum"]) == (3, pytest.approx(0.01 + 0.03 + 0.01))
    assert facts["cost"]["outcomes"] == 1
    assert (facts["arrived"]["outcomes"], facts["arrived"]["sum"]) == (5, 5.0)
    assert facts["comparison"]["requests"] == 5


@pytest.mark.parametrize("kind", [None, "policy"])
def test_the_prompt_guard_counts_it_as_a_failure(database: Database, database_url: str, kind: str | None) -> None:
    """Also where another model has answered (None), and where no event says anything about a model."""
    events = [event for n in range(40) if n not in TREATED for event in events_of(Asked(1 + n, session=n))]
    for n in TREATED:
        asked = Asked(1 + n, "new", session=n, success=kind is None, kind=kind)
        events += marked("waits" if kind is None else "unserved", asked)
    folded_until(database, 0)
    ingest(database, database_url, events)
    assert folded_until(database, 0).worse_promptly > 3


def folded_until(database: Database, seconds: float) -> Facts:
    with database.transaction() as connection:
        return fold(connection, an_experiment(), BEGAN + timedelta(seconds=seconds)).facts[0]
