"""Events of a gateway in an experiment, and the experiment. Sessions and requests have names that give them their arms."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from centralcloud.contracts.experiment_arms import position_of
from centralcloud.contracts.fleet_configuration import Experiment, ExperimentPlan, ExperimentStage, Treatment

#: The experiments of the tests begin then.
BEGAN = (datetime.now(UTC) - timedelta(hours=6)).replace(minute=0, second=0, microsecond=0)
MINUTE = 60.0
#: The least share of a treatment in the tests.
_LEAST_SHARE = 0.1


def an_experiment(*names: str, plan: ExperimentPlan | None = None, began: datetime = BEGAN, **stage: Any) -> Experiment:
    """Return an experiment that runs, with a treatment for each name."""
    names = names or ("new",)
    given: dict[str, Any] = {"status": "running", "share": 0.5 if len(names) == 1 else 1 / (len(names) + 1)} | stage
    return Experiment(
        id="greeting",
        name="Greeting",
        kind="canary" if len(names) == 1 else "ab",
        treatments=tuple(Treatment(name=name, model=f"model-{name}") for name in names),
        plan=plan or ExperimentPlan(),
        salt="salt",
        stage=ExperimentStage(**{"since": began, "began": began} | given),
    )


@dataclass(frozen=True)
class Asked:
    """A request of an experiment. `at` is in seconds from its beginning; `success` None: no outcome arrives.

    Its session, or else its request, has a name that is drawn into the arm; `drawn`: into another one.
    """

    at: float
    arm: str = "control"
    success: bool | None = True
    session: int | None = None
    share: float | None = 0.5
    complexity: str = "simple"
    ms: float | None = 100.0
    cost: float | None = None
    kind: str | None = None
    reward: float | None = None
    fallback: bool | None = None
    outcome_after: float = 1.0
    number: int = 0
    drawn: str | None = None


def events_of(*asked: Asked) -> list[dict[str, Any]]:
    """Return the events of requests, in their order: the decision, its outcome, and those of a second attempt."""
    return [event for number, each in enumerate(asked) for event in _events(each, each.number or number + 1)]


def _events(asked: Asked, number: int) -> Iterator[dict[str, Any]]:
    request = request_id_of(asked, number)
    session = None if asked.session is None else session_of(asked.session, asked.drawn or asked.arm)
    began = BEGAN + timedelta(seconds=asked.at)
    of_arm = {"experiment": "greeting", "arm": asked.arm, "arm_share": asked.share, "session": session}
    yield _event(began, asked, request, 1, outcome="routed", **of_arm)
    ended = began + timedelta(seconds=asked.outcome_after)
    result = {"response_time_ms": asked.ms, "cost_usd": asked.cost, "reward": asked.reward}
    if asked.success is not None:
        yield _event(ended, asked, request, 1, outcome=_word(asked.success), error_kind=asked.kind, **result)
    if asked.fallback is not None:
        yield _event(ended, asked, request, 2, outcome="routed", **{**of_arm, "arm_share": None})
        again = {"response_time_ms": asked.ms, "cost_usd": asked.cost}
        yield _event(ended + timedelta(seconds=1), asked, request, 2, outcome=_word(asked.fallback), **again)


def session_of(number: int, arm: str) -> str:
    """Return the name of a session that is drawn into an arm, whatever its share is; another one for each number."""
    return _drawn(f"{number:011x}{{:05x}}", arm)


def request_id_of(asked: Asked, number: int) -> str:
    """Return a UUID of version 7, another one for each number and time, that is drawn into the arm of the request."""
    name = f"019a7a3e-0000-7000-8{number % 4096:03x}-{int(asked.at * 1000):08x}{{:04x}}"
    return _drawn(name, asked.drawn or asked.arm)


@cache
def _drawn(name: str, arm: str) -> str:
    """Return the first name of the form that has the arm: of one treatment, or of `a` and `b` at a third each."""
    for number in range(100_000):
        found = name.format(number)
        position = position_of("greeting", "salt", found)
        if arm in ("a", "b"):
            is_drawn = int(position * 2) == "ab".index(arm) and position * 2 % 1 < 2 / 3
        else:
            is_drawn = position >= 5 / 6 if arm == "control" else position < _LEAST_SHARE
        if is_drawn:
            return found
    raise AssertionError(name)


def _word(success: bool) -> str:
    return "success" if success else "failure"


def _event(at: datetime, asked: Asked, request: str, attempt: int, **decision: Any) -> dict[str, Any]:
    found = {
        "complexity": asked.complexity,
        "selected_model": "gpt-4o",
        "selected_provider": "github_models",
        "complexity_score": 3.0,
        "decision_id": f"{request}-{attempt}",
        "request_id": request,
        "attempt": attempt,
        **{name: value for name, value in decision.items() if value is not None},
    }
    return {"timestamp": at.isoformat(), "instance_id": "gateway-1", "routing_decision": found}
