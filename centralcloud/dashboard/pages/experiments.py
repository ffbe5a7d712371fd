"""The experiments: which run, with what share, and what is known about each treatment."""

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Final, NamedTuple

from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.dashboard.pages.addresses import experiment_url
from centralcloud.dashboard.pages.experiment_words import (
    finding_badge,
    is_silent,
    kind_words,
    share_words,
    status_badge,
    verdict_words,
)
from centralcloud.dashboard.pages.listing import Pager, address, page_of
from centralcloud.dashboard.pages.reuse import reused
from centralcloud.dashboard.pages.words import State
from centralcloud.dashboard.sources.experiments import EXPERIMENTS, RESULTS, SEEN_AT, VERDICTS, Experiments
from centralcloud.dashboard.web.page import Models, Page, PageContext
from centralcloud.experiments.false_discovery import discoveries
from centralcloud.experiments.results import ComparisonResult, Verdict
from centralcloud.experiments.sentences import odds
from centralcloud.experiments.statements import (
    Facts,
    Statement,
    facts_by_treatment,
    rollback_sentence,
    statement_of,
)
from centralcloud.runtime.wording import counted, listed

PATH: Final = "/experiments"
_PAGE_SIZE: Final = 25
_MOST_NAMES: Final = 3
#: Shares of the marked ones that may be wrong, by the parameter ``fdr``.
_RATES: Final = {"5": 0.05, "10": 0.1, "20": 0.2}
#: Those that run first, then those that are paused, then those that have ended, the newest first.
_ORDER: Final = {"running": 0, "paused": 1}
_NOTHING_FOLDED: Final = "no outcome is old enough to count yet"


class Heading(NamedTuple):
    """The answer in a sentence.

    Attributes:
        state: good, look, bad or empty: there is no experiment.
        seen_at: when the daemon last looked, where that is too long ago; `is_silent`: whether it is.
        problems: experiments that this version cannot read, a line each.
    """

    state: str
    headline: str
    text: str
    is_silent: bool = False
    seen_at: datetime | None = None
    problems: tuple[str, ...] = ()


class Row(NamedTuple):
    """A treatment of an experiment.

    Attributes:
        kind: "canary".
        status, finding, verdict: state and words of a badge; `verdict` None: there is none yet.
        sentence: on its success.
        differs: whether e-BH marks it; None: nothing is marked.
        odds: that there is any difference: "1:310 against chance"; empty: nothing is known.
    """

    name: str
    url: str
    kind: str
    treatment: str
    status: tuple[State, str]
    since: datetime
    share: str
    finding: tuple[State, str]
    sentence: str
    differs: bool | None
    odds: str
    verdict: tuple[State, str] | None
    verdict_at: datetime | None


class Listing(NamedTuple):
    """A page of treatments, those of open experiments first.

    Attributes:
        rate: the share of the marked ones that may be wrong, in percent; empty: nothing is marked.
        rates: the choices: the words and the address of each, and whether it is the current one.
        marked: how many are marked, of `compared`.
    """

    rows: tuple[Row, ...]
    pager: Pager
    rate: str
    rates: tuple[tuple[str, str, bool], ...]
    marked: int
    compared: int


async def build(context: PageContext) -> Models:
    """Build the page; without any experiment it is one card that says how to start one."""
    found = context.of(EXPERIMENTS)
    if found is None:
        return {"heading": None, "list": None}
    answer = heading(found, context.of(SEEN_AT), context.now)
    if not found.configured:
        return {"heading": answer, "list": None}
    results, verdicts = context.of(RESULTS) or (), context.of(VERDICTS) or ()
    return {"heading": answer, "list": listing(found, results, verdicts, context.query, context.zone)}


def heading(found: Experiments, seen_at: datetime | None, now: datetime) -> Heading:
    """Return the answer: "2 experiments run, 1 is paused"."""
    experiments = [each.experiment for each in found.configured]
    problems = found.problems
    if not experiments:
        state = "look" if problems else "empty"
        return Heading(state, "No experiment was started yet", "", problems=problems)
    running = [each for each in experiments if each.stage.status == "running"]
    paused = [each for each in experiments if each.stage.status == "paused"]
    if is_silent(experiments, seen_at, now):
        headline = "No daemon looks after the experiments"
        text = "Gateways send every session to control until one does."
        return Heading("bad", headline, text, is_silent=True, seen_at=seen_at, problems=problems)
    parts = []
    if running:
        parts.append(f"{counted(len(running), 'experiment')} {'runs' if len(running) == 1 else 'run'}")
    if paused:
        what = str(len(paused)) if running else counted(len(paused), "experiment")
        parts.append(f"{what} {'is' if len(paused) == 1 else 'are'} paused")
    state = "look" if paused or problems else "good" if running else "neutral"
    treated = listed([each.name for each in running], _MOST_NAMES)
    ended = len(experiments) - len(running) - len(paused)
    text = " ".join(
        sentence
        for sentence, is_said in (
            (f"A part of the sessions is treated by {treated}.", bool(running)),
            (f"{counted(ended, 'experiment')} {'has' if ended == 1 else 'have'} ended.", bool(ended)),
        )
        if is_said
    )
    return Heading(state, ", ".join(parts) or "No experiment runs now", text, problems=problems)


def listing(
    found: Experiments,
    results: Sequence[ComparisonResult],
    verdicts: Sequence[Verdict],
    query: Mapping[str, str],
    zone: tzinfo,
) -> Listing:
    """Return a page of treatments, with those marked that differ where the query asks for it."""
    rate = query.get("fdr", "")
    rate = rate if rate in _RATES else ""
    rows = _rows(found, tuple(results), tuple(verdicts), zone)
    known = {number: value for number, (_, value) in enumerate(rows) if value is not None}
    marked = discoveries(known, _RATES[rate]) if rate else frozenset[int]()
    shown = [
        row._replace(differs=number in marked if rate and number in known else None)
        for number, (row, _) in enumerate(rows)
    ]
    page, pager = page_of(shown, query, PATH, _PAGE_SIZE)
    rates = tuple(
        (f"at most {each}% wrong" if each else "mark none", address(PATH, query, fdr=each, page=None), each == rate)
        for each in ("", *_RATES)
    )
    return Listing(tuple(page), pager, rate, rates, len(marked), len(known))


def newest_verdict(verdicts: Sequence[Verdict], experiment: Experiment, treatment: int) -> Verdict | None:
    """Return the newest verdict on a treatment, or on its experiment as a whole, of those that are newest first."""
    return next(
        (each for each in verdicts if each.experiment_id == experiment.id and each.treatment in (None, treatment)),
        None,
    )


@reused
def _rows(
    found: Experiments, results: tuple[ComparisonResult, ...], verdicts: tuple[Verdict, ...], zone: tzinfo
) -> tuple[tuple[Row, float | None], ...]:
    """Return the rows, each with the log of the evidence that its treatment differs; None: nothing is known."""
    known = facts_by_treatment(results)
    written = {(each.experiment_id, each.treatment): each.updated_at for each in results}
    experiments = sorted(
        (each.experiment for each in found.configured),
        key=lambda each: (_ORDER.get(each.stage.status, len(_ORDER)), -each.stage.since.timestamp(), each.id),
    )
    rows = []
    for experiment in experiments:
        for number in range(len(experiment.treatments)):
            key = (experiment.id, number)
            facts = known.get(key, {})
            of_success = statement_of(experiment, number, "success", facts, written.get(key, experiment.stage.began))
            row = _row(experiment, number, facts, of_success, newest_verdict(verdicts, experiment, number), zone)
            rows.append((row, of_success.log_value if of_success and of_success.outcomes else None))
    return tuple(rows)


def _row(
    experiment: Experiment, number: int, facts: Facts, known: Statement | None, verdict: Verdict | None, zone: tzinfo
) -> Row:
    stage = experiment.stage
    rolled_back = None
    if stage.status == "rolledBack" and experiment.kind == "canary":
        rolled_back = rollback_sentence(experiment, number, facts, stage.since.astimezone(zone))
    is_known = known is not None and known.outcomes > 0
    return Row(
        name=experiment.name,
        url=experiment_url(experiment.id),
        kind=kind_words(experiment),
        treatment=experiment.treatments[number].name,
        status=status_badge(stage),
        since=stage.since,
        share=share_words(experiment),
        finding=finding_badge(known.state if known and is_known else "unknown"),
        sentence=rolled_back or (known.sentence if known and is_known else _NOTHING_FOLDED),
        differs=None,
        odds=odds(known.log_value) if known and is_known and known.log_value > 0 else "",
        verdict=verdict_words(verdict.verdict) if verdict else None,
        verdict_at=verdict.at if verdict else None,
    )


PAGE: Final = Page(
    path=PATH,
    name="experiments",
    title="Experiments",
    sources=(EXPERIMENTS, RESULTS, VERDICTS, SEEN_AT),
    build=build,
    parameters=("fdr", "page"),
)
