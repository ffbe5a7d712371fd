"""Canaries of learned scores: the gate that holds back scores which change who leads, and the experiment that judges them.

The rules of the learner store what they believe in `rule_scores`, whether it is published or not; the gate only holds
publications back, as a pin does. So a run that is interrupted, or a database that is read again, leads to the same scores.
"""

import secrets
import socket
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg
from msgspec.structs import replace

from centralcloud.administration.canary_traffic import too_little_traffic
from centralcloud.administration.overtaken_canaries import has_complexity
from centralcloud.administration.promoted_scores import is_published
from centralcloud.contracts import COMPLEXITIES, ContractError
from centralcloud.contracts.experiment_changes import is_withdrawn
from centralcloud.contracts.fleet_configuration import (
    Experiment,
    ExperimentPlan,
    ExperimentScope,
    TableScore,
    TableTaskScore,
    parse_experiment,
    to_body,
)
from centralcloud.contracts.fleet_configuration.experiment import MAX_RUNNING
from centralcloud.contracts.fleet_configuration.values import MAX_LABEL_LENGTH
from centralcloud.contracts.model_choice.score_table import TableScore as ChoiceScore
from centralcloud.contracts.new_experiment import Traffic as ScopeTraffic
from centralcloud.contracts.new_experiment import begin
from centralcloud.experiments.ramp import DAEMON
from centralcloud.learning.current_scores import CurrentScore, read_current_scores
from centralcloud.learning.evidence import Pair
from centralcloud.learning.leaders import (
    Divided,
    LeaderChange,
    Traffic,
    divide,
    is_urgent,
    leader_changes,
    published_scores,
)
from centralcloud.learning.publication import Publication, read_clock
from centralcloud.learning.publication_gate import Gated
from centralcloud.learning.rule import Score
from centralcloud.learning.run_input import RunInput
from centralcloud.learning.selection import Selection
from centralcloud.runtime.configuration.experiments import read_traffic, read_usable_experiments, start_score_canary
from centralcloud.runtime.configuration.writing import Author, ConfigurationConflictError
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.query import Query
from centralcloud.runtime.wording import counted, listed, percent
from centralcloud.store.gateways import HAS_GATEWAYS, count_gateways
from centralcloud.store.score_lock import bump_score_revision

log = get_logger(__name__)

#: The only arm beside control.
TREATMENT: Final = "learned"
#: The rule believes in the scores: it is enough that they are not worse. Undecided after this time, they are promoted unless
#: a guard was reached. Once they are promoted they are published at once: the learner sees a fall later, without a control.
_PLAN: Final = {"requireBetter": False, "horizonSeconds": 3 * 86_400.0, "holdSeconds": 0}
_BYTES_OF_TOKEN: Final = 8
_MOST_NAMED: Final = 3

_TRAFFIC_OF_DAY = Query(__package__, "traffic_of_day", row=Traffic)


class _Found(NamedTuple):
    """The facts that the decision about a run rests on."""

    rule: str
    now: datetime
    current: Sequence[CurrentScore]
    traffic: Sequence[Traffic]
    experiments: Sequence[Experiment]

    @property
    def own(self) -> list[Experiment]:
        """The canaries of the active rule."""
        return [each for each in self.experiments if each.learned_by == self.rule]


class ScoreCanaries:
    """The gate of a fleet whose setting `publication` is canary."""

    def __init__(self, plan: Mapping[str, Any] | None = None) -> None:
        """Create it; `plan`: fields of the plans of its canaries, in place of the defaults."""
        self._plan = {**_PLAN, **(plan or {})}

    def hold(
        self, connection: psycopg.Connection[Any], run_input: RunInput, selection: Selection, fallen: frozenset[Pair]
    ) -> Gated:
        """Hold back the scores that would change who leads, and propose a canary for those that none has judged.

        In a fleet without gateways everything is published: sessions are not divided anywhere. While the gateways of a fleet
        are not seen, as in an outage, its scores wait.
        """
        experiments, _ = read_usable_experiments(connection)
        found = _Found(
            run_input.active,
            read_clock(connection),
            read_current_scores(connection),
            _TRAFFIC_OF_DAY.all(connection),
            [each.experiment for each in experiments],
        )
        settings = run_input.settings.canary
        divided = divide(found.current, selection.publications, found.traffic, settings.traffic_share, fallen=fallen)
        judged = _judged(connection, found.own)
        frozen = _pairs(judged) if judged else frozenset()
        held = {each.current.pair for each in divided.held} | {
            each.current.pair for each in divided.direct if each.current.pair in frozen and not is_urgent(each, fallen)
        }
        if not held:
            return Gated(selection)
        if judged is not None:
            return _gated(selection, held, [f"the canary {judged.id} judges {counted(len(frozen), 'score')} first"])
        if not count_gateways(connection, HAS_GATEWAYS):
            log.warning(
                "canary_skipped", scores=len(held), reason="the fleet has no gateways", effect="published at once"
            )
            return Gated(selection)
        if not count_gateways(connection):
            return _gated(selection, held, ["no gateway was seen in the last 15 minutes"])
        return self._proposed(connection, found, selection, divided, settings.again_hours)

    def start(self, connection: psycopg.Connection[Any], canary: Experiment) -> None:
        """Start the canary, in the connection's transaction, which must hold the score lock.

        Where one of its rule is open that this version cannot read, the scores wait, and nothing is started.
        """
        author = Author(who=DAEMON, via="daemon", source=socket.gethostname(), reason=canary.stage.reason)
        try:
            start_score_canary(connection, canary, author)
        except ConfigurationConflictError as error:
            log.warning("score_canary_not_started", experiment=canary.id, reason=str(error))
            return
        bump_score_revision(connection)  # a run that has read before would start another one
        log.info(
            "score_canary_started",
            experiment=canary.id,
            scores=len(canary.treatments[0].score_table),
            reason=canary.stage.reason,
        )

    def _proposed(
        self,
        connection: psycopg.Connection[Any],
        found: _Found,
        selection: Selection,
        divided: Divided,
        again_hours: float,
    ) -> Gated:
        """Propose a canary for the complexities that nothing keeps waiting."""
        waiting = _waiting(found, divided.changes, timedelta(hours=again_hours))
        changes = [each for each in divided.changes if each.complexity not in waiting]
        held = {each.current.pair for each in divided.held}
        reasons = list(dict.fromkeys(waiting.values()))
        if not changes:
            return _gated(selection, held, reasons)
        complexities = {each.complexity for each in changes}
        scores = [each.score for each in divided.held if each.current.complexity in complexities]
        try:
            canary, traffic = self._canary(connection, found, scores, changes)
            impossible = too_little_traffic(canary.plan, traffic)
        except ContractError as error:
            impossible = str(error)
        if impossible is not None:
            log.warning("canary_skipped", scores=len(scores), reason=impossible, effect="published at once")
            return _gated(selection, {pair for pair in held if pair[1] not in complexities}, reasons)
        reason = f"the canary {canary.id} judges {counted(len(scores), 'score')} first: {canary.stage.reason}"
        return _gated(selection, held, [reason, *reasons], canary)

    def _canary(
        self,
        connection: psycopg.Connection[Any],
        found: _Found,
        scores: Sequence[Score],
        changes: Sequence[LeaderChange],
    ) -> tuple[Experiment, ScopeTraffic | None]:
        concerned = {each.complexity for each in changes}
        scope = ExperimentScope(complexities=tuple(each for each in COMPLEXITIES if each in concerned))
        alpha = ExperimentPlan().alpha / _attempt(found, changes)
        asked = {
            "name": f"learned {found.rule}",
            "scope": to_body(scope),
            "treatments": [{"name": TREATMENT, "scoreTable": [to_body(_table_score(each)) for each in scores]}],
            "plan": {"alpha": alpha, **self._plan},
        }
        token = secrets.token_hex(_BYTES_OF_TOKEN)
        traffic = read_traffic(connection, scope)
        begun = begin(asked, "canary", now=found.now, token=token, earlier=(), traffic=traffic).experiment
        words = changes_in_words(changes)
        stage = replace(begun.stage, by_hand=False, reason=words[:MAX_LABEL_LENGTH])
        name = f"scores of {found.rule}: {words}"[:MAX_LABEL_LENGTH]
        newest = max(each.version or 0 for each in found.current)
        canary = replace(begun, name=name, learned_by=found.rule, learned_after=newest, stage=stage)
        return parse_experiment(to_body(canary), "canary"), traffic


def changes_in_words(changes: Sequence[LeaderChange]) -> str:
    """Return a sentence: "b would lead complex tasks, not a (31.0% of traffic)"."""
    said: dict[str, float] = {}
    for each in changes:
        tasks = f"{each.complexity} tasks" if each.task_type is None else f"{each.complexity} {each.task_type} tasks"
        led, leads = listed(each.before, _MOST_NAMED), listed(each.after, _MOST_NAMED)
        words = f"{leads} would lead {tasks}, not {led}"
        said[words] = said.get(words, 0.0) + each.traffic_share
    largest = sorted(said, key=lambda words: -said[words])
    return listed([f"{words} ({percent(said[words])} of traffic)" for words in largest], _MOST_NAMED)


def _gated(
    selection: Selection, held: Iterable[Pair], reasons: Sequence[str], canary: Experiment | None = None
) -> Gated:
    kept = frozenset(held)
    direct: list[Publication] = [each for each in selection.publications if each.current.pair not in kept]
    waiting = [each for each in selection.publications if each.current.pair in kept]
    return Gated(Selection(direct, selection.withheld), waiting, reasons, canary)


def _judged(connection: psycopg.Connection[Any], own: Iterable[Experiment]) -> Experiment | None:
    """Return the canary of the rule that is not decided, or whose scores are not published yet; None: there is none."""
    for each in own:
        if each.is_open or (each.stage.status == "promoted" and not is_published(connection, each)):
            return each
    return None


def _waiting(found: _Found, changes: Sequence[LeaderChange], again: timedelta) -> dict[str, str]:
    """Return why changes of leaders wait without a canary, by complexity."""
    waiting = {}
    running = sum(each.is_open for each in found.experiments)
    refused = {each.id: each for each in found.own if is_withdrawn(each) and found.now < each.stage.since + again}
    for complexity in {each.complexity for each in changes}:
        leads = {model for each in changes if each.complexity == complexity for model in each.after}
        withdrawn = next((each for each in refused.values() if leads & _leads(found, each, complexity)), None)
        other = next((each for each in found.experiments if has_complexity(each, complexity)), None)
        if withdrawn is not None:
            until = withdrawn.stage.since + again
            waiting[complexity] = (
                f"the canary {withdrawn.id} has withdrawn {listed(sorted(leads), _MOST_NAMED)} for {complexity} tasks; "
                f"proposed again from {until:%Y-%m-%d %H:%M} UTC on"
            )
        elif other is not None:
            waiting[complexity] = f"the experiment {other.id} has {complexity} tasks"
        elif running >= MAX_RUNNING:
            waiting[complexity] = f"{running} experiments run or are paused, and no more may"
    return waiting


def _attempt(found: _Found, changes: Sequence[LeaderChange]) -> int:
    """Return the number of the proposal: each of the same leaders may err, so alpha is divided by it."""
    earlier = [
        round(ExperimentPlan().alpha / each.plan.alpha)
        for each in found.own
        if is_withdrawn(each) and any(set(change.after) & _leads(found, each, change.complexity) for change in changes)
    ]
    return 1 + max(earlier, default=0)


def _leads(found: _Found, canary: Experiment, complexity: str) -> set[str]:
    """Return the models that would lead a complexity by the scores of a canary, and do not."""
    now = published_scores(found.current)
    table: dict[Pair, ChoiceScore] = {
        (each.model_id, each.complexity): ChoiceScore(
            each.model_id, each.complexity, each.score, estimate=each.estimate, task_types=each.task_scores
        )
        for each in canary.treatments[0].score_table
    }
    changes = leader_changes(now, {**now, **table}, found.traffic)
    return {model for each in changes if each.complexity == complexity for model in each.after}


def _pairs(canary: Experiment) -> frozenset[Pair]:
    return frozenset((each.model_id, each.complexity) for each in canary.treatments[0].score_table)


def _table_score(score: Score) -> TableScore:
    mean, n_eff, draw_n = score.estimate.mean, score.estimate.n_eff, score.estimate.draw_n
    known = mean is not None and bool(n_eff)
    return TableScore(
        model_id=score.model,
        complexity=score.complexity,  # type: ignore[arg-type]
        score=float(score.score),
        mean=mean if known else None,
        n_eff=n_eff if known else None,
        draw_n=draw_n or None if known else None,
        task_types=tuple(
            TableTaskScore(
                task_type=name,
                score=task.score,
                mean=task.estimate.mean,
                n_eff=task.estimate.n_eff,
                draw_n=task.estimate.draw_n or None,
            )
            for name, task in sorted(score.task_types.items())
            if task.estimate.mean is not None and task.estimate.n_eff
        ),
    )
