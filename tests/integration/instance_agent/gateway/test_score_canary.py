"""Learned scores in a running gateway: their canary serves the sessions of its arm, and then all of them."""

from itertools import count
from typing import Any

from msgspec.structs import replace
from support.events import outcomes
from support.gateways import Gateway
from support.ingest import ingest, ingest_all
from support.operators import OPERATOR
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.experiments import change
from centralcloud.administration.promoted_scores import publish_promoted
from centralcloud.administration.score_canaries import ScoreCanaries
from centralcloud.contracts.experiment_arms import assign, position_of
from centralcloud.contracts.experiment_changes import promoted
from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import ThresholdRule
from centralcloud.learning.safety import SafetyLimits
from centralcloud.learning.settings import FixedLearningSettings
from centralcloud.runtime.configuration.experiments import read_experiments
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.slices import References
from instance_agent.routing.affinity import session_key

RULES = [ThresholdRule()]
#: So many that both arms have some, but for one run of 2,000.
SESSIONS = [f"session-{number}" for number in range(12)]


def good(model: str, score: float) -> list[dict[str, Any]]:
    """Return outcomes by which the score of a model for complex tasks rises by 0.3."""
    return outcomes(100, 0, selected_model=model, complexity_score=score)


def the_canary(database: Database) -> Experiment:
    with database.transaction() as connection:
        (found,) = [each.experiment for each in read_experiments(connection)]
    return found


def test_sessions_of_the_canary_are_served_by_the_new_leader_and_all_are_once_it_is_promoted(
    gateway: Gateway, database_url: str, database: Database
) -> None:
    def model_of(session: str) -> str:
        headers = {"x-centralcloud-session": session}
        return gateway.chat(headers=headers, metadata={"complexity": "complex"}).headers["x-centralcloud-model"]

    def learn() -> None:
        settings = FixedLearningSettings(RULES, References(), SafetyLimits(), publication="canary")
        gate = ScoreCanaries(plan={"steps": [0.5]})
        Learner(database, read_settings=lambda _: settings, gate=gate).learn()

    # gpt leads by learned scores: 4.3 against 4.2.
    ingest(database, database_url, [*good("gpt", 4.0), *good("opus", 3.9)])
    learn()
    eventually(lambda: {model_of(session) for session in SESSIONS} == {"gpt"})

    def is_recorded() -> bool:
        ingest_all(database)
        return bool(execute(database_url, "SELECT 1 FROM routing_records WHERE request_id IS NOT NULL LIMIT 1"))

    eventually(is_recorded, what="a request of the gateway")
    ingest(database, database_url, good("opus", 3.9))
    learn()
    canary = the_canary(database)
    assert [(each.model_id, each.score) for each in canary.treatments[0].score_table] == [("opus", 4.5)]
    execute(database_url, "UPDATE experiment_heartbeat SET seen_at = now()")

    def expected(session: str) -> str:
        position = position_of(canary.id, canary.salt, session_key("acme", session))
        return "opus" if assign(position, canary.split).treatment == 0 else "gpt"

    arms = {session: expected(session) for session in SESSIONS}
    eventually(lambda: {session: model_of(session) for session in SESSIONS} == arms)

    change(database, canary.id, promoted, OPERATOR)
    publish_promoted(database, RULES, References())
    # A session that is open stays with its model, so each look begins new ones.
    names = count()
    eventually(lambda: {model_of(f"later-{next(names)}") for _ in SESSIONS} == {"opus"})
    assert the_canary(database) == replace(canary, stage=the_canary(database).stage)
