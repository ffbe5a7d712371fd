"""The adaptive rule in the real loop: a fleet avoids a model that silently degrades, and returns after its recovery."""

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.events import outcomes, send
from support.servers import execute
from support.waiting import eventually

from centralcloud.administration.score_audit import audit_scores
from centralcloud.administration.verification import verify
from centralcloud.contracts import parse_score_update
from centralcloud.ingest.drain import drain
from centralcloud.learning.learner import Learner
from centralcloud.learning.rules import AdaptiveRule, ThresholdRule
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.settings import load_settings
from instance_agent import AgentSettings, InstanceAgent

COMPLEXITIES = ("simple", "medium", "complex")
MODELS = {"ace": 0.94, "bold": 0.78, "calm": 0.60}
DEGRADED = 0.35
INSTANCES = 5
TASKS_OF_AN_INSTANCE = 40


class Fleet:
    """Real agents whose tasks run in turn instead of in threads, so that everything follows from the seed."""

    def __init__(self, database: Database, folder: Path, seed: int) -> None:
        self.rates = dict(MODELS)
        self._database = database
        self._rng = random.Random(seed)
        #: Models that were chosen, run by run.
        self.chosen: list[Counter[str]] = []
        catalog = folder / "catalog.yaml"
        entries = [
            {"name": name, "provider": f"{name}-cloud", "complexity_scores": dict.fromkeys(COMPLEXITIES, 2.5)}
            for name in MODELS
        ]
        catalog.write_text(yaml.safe_dump({"models": entries}))
        self._agents = [self._agent(number, catalog, folder, seed) for number in range(INSTANCES)]
        self._learner = Learner(database, [AdaptiveRule(), ThresholdRule()])

    def run(self) -> None:
        """Run some tasks in every instance; then ingest, learn, and apply the scores."""
        chosen: Counter[str] = Counter()
        for agent in self._agents:
            for _ in range(TASKS_OF_AN_INSTANCE):
                decision = agent.router.route(self._rng.choice(COMPLEXITIES))
                name = decision.model.name
                chosen[name] += 1
                agent.router.report_outcome(decision, self._rng.random() < self.rates[name], response_time_ms=300)
            assert agent.publisher is not None
            while agent.publisher.waiting:
                agent.publisher.run_once()
        self.chosen.append(chosen)
        drain(self._database, batch_size=1000)
        assert self._learner.learn().withheld == []
        for agent in self._agents:
            agent.updater.run_once()

    def run_until(self, condition: Callable[[], bool], *, at_most: int) -> None:
        """Run at least three times, and until `condition` holds."""
        for number in range(at_most):
            self.run()
            if number >= 2 and condition():
                return
        pytest.fail(f"not within {at_most} runs; choices in the last ones: {self.chosen[-3:]}")

    def share(self, model: str) -> float:
        """Share of the choices in the newest three runs."""
        newest = self.chosen[-3:]
        return sum(chosen[model] for chosen in newest) / sum(chosen.total() for chosen in newest)

    def _agent(self, number: int, catalog: Path, folder: Path, seed: int) -> InstanceAgent:
        settings = load_settings(
            AgentSettings,
            INSTANCE_ID=f"i-{number}",
            EX_LLM_PGMQ_ENABLED=True,
            catalog=catalog,
            state_dir=folder / f"i-{number}",
            reconcile_interval_seconds=3600,
        )
        agent = InstanceAgent(settings, self._database)
        agent.router._rng = random.Random(seed * 1000 + number)
        return agent


def open_findings(url: str, kind: str) -> list[tuple[str, str]]:
    return execute(
        url, "SELECT subject, message FROM findings WHERE kind = %s AND closed_at IS NULL ORDER BY subject", (kind,)
    )


def messages(url: str) -> list[dict]:
    return [row[0] for row in execute(url, "SELECT message FROM pgmq.q_model_score_updates ORDER BY msg_id")]


def test_a_fleet_avoids_a_degraded_model_and_returns_after_its_recovery(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    fleet = Fleet(database, tmp_path, seed=1)
    fleet.run_until(lambda: fleet.share("ace") > 0.7, at_most=20)
    assert open_findings(database_url, "change_alarm") == []

    fleet.rates["ace"] = DEGRADED
    fleet.run_until(lambda: fleet.share("ace") < 0.05, at_most=20)
    fallen = open_findings(database_url, "change_alarm")
    assert {subject for subject, _ in fallen} == {f"ace/{complexity}" for complexity in COMPLEXITIES}
    for _, message in fallen:
        assert message.startswith("the success rate of ace for ")
        assert " tasks fell from 0.9" in message

    fleet.rates["ace"] = MODELS["ace"]
    fleet.run_until(lambda: fleet.share("ace") > 0.7, at_most=80)
    fleet.run_until(lambda: open_findings(database_url, "change_alarm") == [], at_most=40)
    closed = execute(
        database_url, "SELECT count(*) FROM findings WHERE kind = 'change_alarm' AND closed_at >= opened_at"
    )
    assert closed[0][0] >= 3
    assert execute(database_url, "SELECT count(*) FROM findings WHERE kind <> 'change_alarm'") == [(0,)]

    _check_messages(database_url)
    _check_records(database_url)
    _check_shadow(database_url)
    verification = verify(database)
    assert verification.ok, verification.differences
    assert audit_scores(database, [AdaptiveRule(), ThresholdRule()]).differences == [], "every score can be recomputed"
    assert verification.ledger["records"] == 2 * sum(chosen.total() for chosen in fleet.chosen)


def _check_messages(url: str) -> None:
    sent = messages(url)
    assert sent
    for message in sent:
        assert message["rule"] == "adaptive"
        low, high = message["interval"]
        assert 0 <= low <= message["mean"] <= high <= 1
        n_eff = message["n_eff"]
        assert 2 <= n_eff - message["based_on_samples"] + 1e-6 <= 16 + 2e-6, "the prior is worth 2 to 16 outcomes"
        assert message["draw_n"] == pytest.approx(n_eff * (1 + 2 * n_eff / (n_eff + 50)), rel=1e-4)
        assert 0 <= message["probe_share"] <= 0.22
        assert message["window_start"] <= message["timestamp"]
        update = parse_score_update(json.dumps(message))
        estimate = update.estimate
        assert (estimate.mean, estimate.n_eff, estimate.draw_n, estimate.probe_share) == tuple(
            message[name] for name in ("mean", "n_eff", "draw_n", "probe_share")
        )
    assert [message["version"] for message in sent] == sorted(message["version"] for message in sent)


def _check_records(url: str) -> None:
    (without,) = execute(url, "SELECT count(*) FROM routing_records WHERE propensity IS NULL OR propensity <= 0")
    assert without == (0,)
    last = execute(url, "SELECT max(slice_no) FROM routing_records WHERE score_version IS NULL")
    assert last == [(1,)], "after the first scores every decision names the version that it used"
    (probes, of_degraded, good) = execute(
        url,
        """
        SELECT count(*), count(*) FILTER (WHERE model = 'ace'), bool_and(propensity < 0.5)
        FROM routing_records WHERE extra->>'probe' = 'true' AND outcome = 'routed'
        """,
    )[0]
    assert probes >= of_degraded > 10
    assert good


def _check_shadow(url: str) -> None:
    adaptive, threshold = execute(
        url, "SELECT rule, count(*), count(mean) FROM rule_scores GROUP BY rule ORDER BY rule"
    )
    assert adaptive == ("adaptive", 9, 9)
    assert threshold[0] == "threshold"
    assert threshold[1] >= 3, "the pairs with a hundred outcomes"
    assert threshold[2] == 0
    assert execute(url, "SELECT DISTINCT rule FROM model_score_history") == [("adaptive",)]


def test_after_a_switch_each_rule_continues_from_its_own_state(database: Database, database_url: str) -> None:
    threshold_first = Learner(database, [ThresholdRule(), AdaptiveRule()])
    adaptive_first = Learner(database, [AdaptiveRule(), ThresholdRule()])

    def ingest(successes: int, failures: int) -> None:
        send(database_url, outcomes(successes, failures, complexity_score=4.0))
        drain(database, batch_size=1000)

    def of_rule(rule: str) -> tuple[str, int]:
        query = "SELECT score::text, based_on_samples FROM rule_scores WHERE rule = %s"
        return execute(database_url, query, (rule,))[0]

    ingest(100, 0)
    (change,) = threshold_first.learn().changes
    assert change.new_score == 4.3
    assert of_rule("adaptive") == ("4.926", 100), "5 * (101 / 102 - 0.1 * 500 / 10,000)"

    (change,) = adaptive_first.learn().changes
    assert (change.old_score, change.new_score) == (4.3, 4.926), "its score from the shadow"
    ingest(0, 100)
    (change,) = adaptive_first.learn().changes
    assert change.new_score < 1
    assert of_rule("threshold") == ("4.200", 100), "in the shadow: 4.3 - 0.2 + 0.1, and not published"

    (change,) = threshold_first.learn().changes
    assert change.new_score == 4.2
    fallen = execute(database_url, "SELECT state FROM rule_scores WHERE rule = 'adaptive'")[0][0]
    assert fallen["fallen_from"] == 1.0
    ingest(100, 0)
    (change,) = threshold_first.learn().changes
    assert (change.old_score, change.new_score) == (4.2, 4.5)

    assert [(message["rule"], "mean" in message) for message in messages(database_url)] == [
        ("threshold", False), ("adaptive", True), ("adaptive", True), ("threshold", False), ("threshold", False),
    ]  # fmt: skip
    assert adaptive_first.learn().rule == "adaptive"
    assert execute(database_url, "SELECT rule FROM model_scores") == [("adaptive",)]


def test_an_eager_rule_runs_as_soon_as_enough_outcomes_have_arrived(database: Database, database_url: str) -> None:
    learner = Learner(database, [AdaptiveRule(), ThresholdRule()], after_outcomes=50)

    def runs() -> list[tuple[int, int]]:
        return execute(database_url, "SELECT samples, pairs_evaluated FROM learning_runs ORDER BY run_id")

    learner.start()  # and never woken
    try:
        send(database_url, outcomes(30, 19))
        drain(database, batch_size=1000)
        learner.run_once()
        assert runs() == [], "49 are not enough"
        send(database_url, outcomes(1, 0))
        drain(database, batch_size=1000)
        eventually(lambda: runs() == [(50, 1)], what="the run")
        assert messages(database_url)[0]["mean"] == pytest.approx(32 / 52, abs=1e-6)
    finally:
        learner.stop()
    assert learner.join(5)


def test_a_rule_that_is_not_eager_runs_only_by_the_schedule(database: Database, database_url: str) -> None:
    learner = Learner(database, [ThresholdRule(), AdaptiveRule()], after_outcomes=50)
    learner.run_once()  # at the start
    send(database_url, outcomes(60, 0))
    drain(database, batch_size=1000)
    learner.run_once()
    assert execute(database_url, "SELECT count(*) FROM learning_runs") == [(1,)]
    assert Learner(database, [AdaptiveRule(), ThresholdRule()], after_outcomes=0).interval_seconds is None
