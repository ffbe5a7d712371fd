"""One experiment: its ramp, what is known about each treatment and what that has cost, and how it came here."""

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from markupsafe import Markup

from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.dashboard.charts.differences import Difference, Measure, differences
from centralcloud.dashboard.pages.addresses import action_url
from centralcloud.dashboard.pages.experiment_arms import Line, arms_of, caveats, cost_sentences
from centralcloud.dashboard.pages.experiment_history import history_of
from centralcloud.dashboard.pages.experiment_ramp import Step, Waiting, steps_of, waiting_of
from centralcloud.dashboard.pages.experiment_words import (
    finding_badge,
    is_silent,
    kind_words,
    metric_title,
    plan_facts,
    scope_words,
    sessions_words,
    share_words,
    status_badge,
    treatment_words,
)
from centralcloud.dashboard.pages.words import State
from centralcloud.dashboard.sources.experiments import EXPERIMENTS, PAST, RESULTS, SEEN_AT
from centralcloud.dashboard.web.page import Models, Page, PageContext, PageError
from centralcloud.experiments.sentences import Interval, leader, odds
from centralcloud.experiments.statements import (
    RATIOS,
    Facts,
    Statement,
    facts_by_treatment,
    rollback_sentence,
    statement_of,
    statements_of,
)
from centralcloud.runtime.configuration.experiments import ConfiguredExperiment

_HEADLINES: Final = {
    "paused": "{name} is paused: every session goes to control",
    "promoted": "{winner} was promoted: every session of the scope goes to it",
    "rolledBack": "{name} was rolled back: every session goes to control",
    "undecided": "{name} ended undecided: every session goes to control",
    "stopped": "{name} was stopped: every session goes to control",
}
_MARKS: Final = {"running": "good", "paused": "look", "promoted": "good", "rolledBack": "look"}
#: Without outcomes, or while all are too young.
_NOTHING: Final = (
    "Nothing counts yet: a request counts once it is as old as its outcome may come, and its session has ended."
)


class Act(NamedTuple):
    """An action, with the command that does the same. `url`: None: only the command does it."""

    label: str
    url: str | None
    command: str


class Heading(NamedTuple):
    """The answer in a sentence.

    Attributes:
        answer: on the success of its treatments, in a sentence each.
        status: state and words of its badge.
        since: when the status, or the step, began.
        acts: what an operator may do now.
    """

    state: str
    headline: str
    answer: tuple[str, ...]
    reason: str
    experiment_id: str
    kind: str
    scope: str
    status: tuple[State, str]
    since: datetime
    acts: tuple[Act, ...]


class Stage(NamedTuple):
    """The ramp.

    Attributes:
        share: of the sessions that are treated: "5%".
        before: the share until the step, in words; empty: no session from before it is open.
        retries: how often it has begun again, of how often it may.
        again_at: when a pause ends by itself.
        is_silent, seen_at: whether the daemon is silent, and since when.
    """

    steps: tuple[Step, ...]
    share: str
    before: str
    began: datetime
    ends: datetime | None
    retries: tuple[int, int]
    again_at: datetime | None
    is_silent: bool
    seen_at: datetime | None
    waiting: tuple[Waiting, ...]


class Finding(NamedTuple):
    """The knowledge of a metric, in words. `odds`: that there is any difference."""

    title: str
    badge: tuple[State, str]
    sentence: str
    odds: str


class TreatmentView(NamedTuple):
    """A treatment against control. `nothing`: why nothing is known; empty: something is."""

    name: str
    what: str
    verdict: str
    findings: tuple[Finding, ...]
    chart: Markup | None
    arms: tuple[Line, ...]
    costs: tuple[str, ...]
    caveats: tuple[str, ...]
    at: datetime | None
    nothing: str
    promote: Act | None


class Treatments(NamedTuple):
    """All treatments. `leader`: the one that is better than all others; None: there is none yet."""

    views: tuple[TreatmentView, ...]
    leader: str | None


class Plan(NamedTuple):
    """The scope and the plan in words."""

    facts: tuple[tuple[str, str], ...]
    commands: tuple[tuple[str, str], ...]


async def build(context: PageContext) -> Models:
    """Build the page; raises PageError for an experiment that is not one of the configuration."""
    wanted = context.query.get("experiment_id", "")
    found = context.of(EXPERIMENTS)
    if found is None:
        return dict.fromkeys(("heading", "stage", "treatments", "history", "plan"))
    configured = next((each for each in found.configured if each.experiment.id == wanted), None)
    if configured is None:
        raise PageError(
            404,
            "No such experiment",
            f"Found no experiment with the id {wanted}. One that was removed is in the history of the configuration.",
            command="centralcloud experiments list --all",
            link=("All experiments", "/experiments"),
        )
    experiment = configured.experiment
    results = [each for each in context.of(RESULTS) or () if each.experiment_id == wanted]
    known = facts_by_treatment(results)
    facts = [known.get((wanted, number), {}) for number in range(len(experiment.treatments))]
    at = max((each.updated_at for each in results), default=None)
    past = await context.lookup(PAST, wanted)
    return {
        "heading": heading(configured, facts, at),
        "stage": stage_of(experiment, facts, context.of(SEEN_AT), context.now),
        "treatments": treatments_of(experiment, facts, at, context),
        "history": history_of(experiment, past.verdicts, past.changes),
        "plan": Plan(
            (("Requests", scope_words(experiment.scope)), *plan_facts(experiment)), tuple(_commands(experiment))
        ),
    }


def heading(configured: ConfiguredExperiment, facts: Sequence[Facts], at: datetime | None) -> Heading:
    """Return the answer: "gpt-x on trial runs: 5% of the sessions"."""
    experiment = configured.experiment
    stage = experiment.stage
    running = "{winner} was promoted, on hold: {sessions}" if experiment.is_held else "{name} runs: {sessions}"
    headline = _HEADLINES.get(stage.status, running).format(
        name=experiment.name, winner=stage.winner, sessions=sessions_words(experiment)
    )
    return Heading(
        _MARKS.get(stage.status, "neutral"),
        headline,
        tuple(_answers(experiment, facts, at or stage.began)),
        stage.reason,
        experiment.id,
        kind_words(experiment),
        scope_words(experiment.scope),
        status_badge(stage),
        stage.since,
        tuple(_acts(experiment)),
    )


def stage_of(experiment: Experiment, facts: Sequence[Facts], seen_at: datetime | None, now: datetime) -> Stage:
    """Return the ramp, and what it waits for."""
    stage, plan = experiment.stage, experiment.plan
    pauses_itself = stage.status == "paused" and not stage.by_hand
    return Stage(
        steps_of(experiment),
        share_words(experiment),
        f"{100 * stage.before:.3g}%" if stage.before is not None and stage.status == "running" else "",
        stage.began,
        stage.began + timedelta(seconds=plan.horizon_seconds) if experiment.is_open else None,
        (stage.retries, plan.retries),
        stage.since + timedelta(seconds=plan.retry_pause_seconds) if pauses_itself else None,
        is_silent([experiment], seen_at, now),
        seen_at,
        waiting_of(experiment, facts[0] if facts else {}, now),
    )


def treatments_of(
    experiment: Experiment, facts: Sequence[Facts], at: datetime | None, context: PageContext
) -> Treatments:
    """Return what is known about each treatment."""
    stated = [
        statements_of(experiment, number, each, at or experiment.stage.began) for number, each in enumerate(facts)
    ]
    views = tuple(_view(experiment, number, each, stated[number], at, context) for number, each in enumerate(facts))
    leading = None
    if len(views) > 1:
        leading = leader(
            {
                view.name: Interval(float(each["success"]["possible"][0]), float(each["success"]["possible"][1]))
                for view, each in zip(views, facts, strict=True)
                if "success" in each
            }
        )
    return Treatments(views, leading)


def _view(
    experiment: Experiment,
    number: int,
    facts: Facts,
    stated: Sequence[Statement],
    at: datetime | None,
    context: PageContext,
) -> TreatmentView:
    treatment, stage = experiment.treatments[number], experiment.stage
    rolled_back = None
    if stage.status == "rolledBack" and experiment.kind == "canary":
        rolled_back = rollback_sentence(experiment, number, facts, stage.since.astimezone(context.zone))
    promote = None
    if experiment.is_open:
        several = len(experiment.treatments) > 1
        promote = Act(
            f"Promote {treatment.name} anyway",
            action_url("promote-experiment", experiment=experiment.id, treatment=treatment.name),
            _command(experiment, "promote", *([treatment.name] if several else [])),
        )
    return TreatmentView(
        treatment.name,
        treatment_words(treatment),
        rolled_back or "",
        tuple(
            Finding(
                metric_title(each.metric, experiment.plan),
                finding_badge(each.state),
                each.sentence,
                odds(each.log_value) if each.log_value > 0 else "",
            )
            for each in stated
        ),
        _chart(experiment, treatment.name, stated),
        arms_of(experiment, facts),
        cost_sentences(experiment, facts, treatment.name),
        caveats(facts, treatment.name),
        at if facts else None,
        "" if stated else _NOTHING,
        promote,
    )


def _chart(experiment: Experiment, name: str, stated: Sequence[Statement]) -> Markup | None:
    """Return the ranges of the differences, of each unit of which one is known; None: none is."""
    plan = experiment.plan

    def rows(*, ratios: bool) -> list[Difference]:
        return [
            Difference(
                metric_title(each.metric, plan),
                each.low,
                each.high,
                each.state if each.state in ("better", "worse") else "open",
            )
            for each in stated
            if (each.metric in RATIOS) is ratios
        ]

    measures = [
        Measure("Points more or fewer than control", rows(ratios=False), "", -plan.margin),
        Measure("Time and cost, more or less than control", rows(ratios=True), "%", plan.ratio_limit),
    ]
    known = [each for each in measures if any(row.low is not None or row.high is not None for row in each.rows)]
    return differences(known, label=f"{name} against control: {stated[0].sentence}") if known else None


def _answers(experiment: Experiment, facts: Sequence[Facts], at: datetime) -> Iterator[str]:
    for number, each in enumerate(facts):
        stated = statement_of(experiment, number, "success", each, at)
        if stated is not None and stated.outcomes:
            name = experiment.treatments[number].name
            text = stated.sentence if stated.sentence.startswith(f"{name} ") else f"{name}: {stated.sentence}"
            yield f"{text}."


def _acts(experiment: Experiment) -> Iterator[Act]:
    """Yield what an operator may do now, but for the promotion of a treatment."""
    stage = experiment.stage
    if stage.status == "running" or (stage.status == "paused" and not stage.by_hand):
        yield _act(experiment, "Pause", "pause")
    if stage.status == "paused":
        yield _act(experiment, "Resume", "resume")
    if experiment.is_open:
        yield _act(experiment, "Stop", "stop")


def _act(experiment: Experiment, label: str, name: str) -> Act:
    return Act(label, action_url(f"{name}-experiment", experiment=experiment.id), _command(experiment, name))


def _commands(experiment: Experiment) -> Iterator[tuple[str, str]]:
    yield "All of it, for programs", shlex.join(["centralcloud", "experiments", "show", "--json", experiment.id])
    if not experiment.is_open:
        yield "Remove it; its verdicts stay", _command(experiment, "remove")


def _command(experiment: Experiment, name: str, *arguments: str) -> str:
    subject = [experiment.id, *arguments]
    before = ["--"] if any(each.startswith("-") for each in subject) else []
    return shlex.join(["centralcloud", "experiments", name, "--reason", "why", *before, *subject])


PAGE: Final = Page(
    path="/experiment/{experiment_id}",
    name="experiment",
    title="Experiment",
    sources=(EXPERIMENTS, RESULTS, SEEN_AT),
    build=build,
    in_navigation=False,
    under="experiments",
)
