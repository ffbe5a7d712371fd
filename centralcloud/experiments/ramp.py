"""The ramp of an experiment: the daemon brings it to its next stage, as a version of the configuration with a verdict.

An operator wins: if the experiment has changed since it was read, nothing is written, and the next round looks again.
"""

import math
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Protocol

import psycopg
from msgspec.structs import replace
from psycopg.types.json import Jsonb

from centralcloud.contracts.canary import Facts
from centralcloud.contracts.fleet_configuration import Experiment, ExperimentStage
from centralcloud.experiments.stages import change_words, is_settling, next_stage, verdicts_of
from centralcloud.runtime.configuration.experiments import UnknownExperimentError, change_stage, read_usable_experiments
from centralcloud.runtime.configuration.writing import Author, ConfigurationConflictError
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.query import Query

log = get_logger(__name__)

#: The author of what the daemon decides.
DAEMON: Final = "centralcloud"
_INSERT_VERDICT = Query(__package__, "insert_verdict")


class Evidence(Protocol):
    """The evidence about an experiment after a round of folding.

    Attributes:
        facts: of each treatment.
        has_older_sessions: whether a session is open that began before the stage.
        sample_ratio_alarm: whether sessions are split otherwise than planned.
    """

    @property
    def facts(self) -> Sequence[Facts]: ...
    @property
    def has_older_sessions(self) -> bool: ...
    @property
    def sample_ratio_alarm(self) -> bool: ...


def advance_experiment(
    connection: psycopg.Connection[Any], experiment: Experiment, evidence: Evidence, now: datetime
) -> Experiment | None:
    """Bring an experiment to its next stage, in the connection's transaction: a version of the configuration and a verdict.

    Verdicts of an A/B test are stored whether the stage changes or not, each once.

    Args:
        experiment: as the evidence was folded for it.

    Returns:
        The experiment in its new stage; None: it stays, or has changed since it was read.
    """
    for number, verdict in verdicts_of(experiment, evidence.facts):
        if store_verdict(
            connection, experiment, verdict, now, treatment=number, facts=evidence.facts[number], once=True
        ):
            log.info("experiment_verdict", experiment=experiment.id, treatment=number, verdict=verdict)
    stage = next_stage(
        experiment,
        evidence.facts,
        now,
        has_older_sessions=evidence.has_older_sessions,
        alarm=evidence.sample_ratio_alarm,
    )
    if stage == experiment.stage:
        return None
    after = replace(experiment, stage=stage)
    reason = change_words(experiment.stage, stage)
    if not _write(connection, experiment, after, reason):
        return None
    log.info("experiment_stage", experiment=experiment.id, status=stage.status, share=stage.share, reason=reason)
    if not is_settling(experiment.stage, stage):
        facts = evidence.facts[0] if len(evidence.facts) == 1 else None
        treatment = 0 if len(experiment.treatments) == 1 else None
        verdict = _verdict(experiment.stage, stage)
        store_verdict(connection, after, verdict, now, treatment=treatment, facts=facts)
    return after


def store_verdict(
    connection: psycopg.Connection[Any],
    experiment: Experiment,
    verdict: str,
    now: datetime,
    *,
    treatment: int | None = None,
    facts: Facts | None = None,
    more: Mapping[str, Any] | None = None,
    once: bool = False,
) -> bool:
    """Store a verdict on an experiment, which is never taken back.

    Args:
        treatment: its number; None: the verdict is about the experiment as a whole.
        facts: the evidence of the moment.
        more: other facts.
        once: store it only if the experiment has no such verdict yet.

    Returns:
        Whether it was stored.
    """
    stage = experiment.stage
    known = {"status": stage.status, "step": stage.step, "share": stage.share, "reason": stage.reason, **(more or {})}
    if facts is not None:
        known["evidence"] = {name: _finite(value) for name, value in facts._asdict().items()}
    values = {
        "experiment_id": experiment.id,
        "treatment": treatment,
        "at": now,
        "verdict": verdict,
        "facts": Jsonb(known),
        "once": once,
    }
    return _INSERT_VERDICT.run(connection, values) == 1


def _write(connection: psycopg.Connection[Any], before: Experiment, after: Experiment, reason: str) -> bool:
    usable, _ = read_usable_experiments(connection)
    current = next((each for each in usable if each.experiment.id == before.id), None)
    if current is None or current.experiment != before:
        return False
    author = Author(who=DAEMON, via="daemon", source=socket.gethostname(), reason=reason)
    try:
        change_stage(connection, after, current.version, author)
    except (ConfigurationConflictError, UnknownExperimentError):
        return False
    return True


def _verdict(before: ExperimentStage, after: ExperimentStage) -> str:
    """Return the word for a change of the stage. A canary is promoted when the evidence is reached, before its hold."""
    if after.status == "promoted" and before.winner is not None:
        return "confirmed"
    if after.status != "running":
        return after.status
    if after.winner is not None:
        return "promoted"
    return "retry" if before.status == "paused" else "step"


def _finite(value: Any) -> Any:
    """Return a value in JSON: evidence that is not compared is without a number."""
    if isinstance(value, tuple):
        return [_finite(each) for each in value]
    return value if value is None or math.isfinite(value) else None
