"""The incidents: which are open, since when, what changed just before; those that are closed, and how the week was."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Final, NamedTuple

from centralcloud.dashboard.pages.action_words import verb
from centralcloud.dashboard.pages.addresses import finding_url, instance_url, pair_url
from centralcloud.dashboard.pages.incident_timeline import draw_timeline
from centralcloud.dashboard.pages.listing import Pager, page_of
from centralcloud.dashboard.pages.noticing import Noticed, who_noticed
from centralcloud.dashboard.pages.verdict import small_findings
from centralcloud.dashboard.pages.words import (
    FINDING_KINDS,
    LARGE_SHARE,
    TOGETHER_SHARE,
    Guide,
    State,
    finding_guide,
    finding_state,
    finding_title,
    pair_words,
    score_change,
    sentence,
)
from centralcloud.dashboard.sources.activity import PAST_ACTIONS, PastAction
from centralcloud.dashboard.sources.control import CONTROL, Control
from centralcloud.dashboard.sources.findings import OPEN_FINDINGS, Finding
from centralcloud.dashboard.sources.fleet import FLEET
from centralcloud.dashboard.sources.incidents import (
    CAUSES,
    EXCLUSIONS,
    MODEL_VERSIONS,
    MOST_FINDINGS,
    RECENT_FINDINGS,
    RUNS,
    Cause,
    Exclusion,
    ModelVersion,
    Runs,
)
from centralcloud.dashboard.web import formats
from centralcloud.dashboard.web.page import Models, Page, PageContext
from centralcloud.runtime.wording import age, counted

_PATH: Final = "/incidents"

_PAGE_SIZE: Final = 25

#: Open findings that are shown in full.
_MOST_OPEN: Final = 60

_MOST_WITHHELD: Final = 10

_MOST_CAUSES: Final = 8

_WEEK: Final = timedelta(days=7)

_BEFORE: Final = timedelta(minutes=15)

_STATES: Final[tuple[State, ...]] = ("bad", "look", "note", "neutral")


class Headline(NamedTuple):
    """The answer of the page.

    Attributes:
        state: ``neutral``: there is nothing to judge yet.
        number: open incidents, without news and without those that concern little traffic.
        oldest_at: since when the oldest of them is open.
        worst: the title of the one that concerns most traffic.
        small, news: open findings that are not among them.
        together: the share of the traffic, 0 to 1, that the small ones of one kind concern, at most.
        last_closed_at: when the last incident was closed, if none is open.
    """

    state: State
    number: int
    oldest_at: datetime | None
    worst: str
    small: int
    together: float
    news: int
    last_closed_at: datetime | None


#: No outcome was ever ingested: that none of them is bad says nothing.
NOTHING_YET: Final = Headline("neutral", 0, None, "", 0, 0.0, 0, None)


class Fact(NamedTuple):
    """A number of the week, with what it means."""

    label: str
    value: str
    note: str
    unit: str = ""


class Trigger(NamedTuple):
    """A change just before a finding was opened."""

    at: datetime
    text: str
    url: str | None


class Incident(NamedTuple):
    """A finding in words.

    Attributes:
        url: the page of what it is about; None: it is about nothing that has a page.
        share: of the traffic, 0 to 1; None: unknown.
        triggers: changes within 15 minutes before, newest first; `is_traced`: whether they were looked for.
        lasted: how long it was open, in words; empty while it is open.
    """

    finding_id: int
    state: State
    title: str
    kind: str
    subject: str
    url: str | None
    message: str
    share: float | None
    opened_at: datetime
    closed_at: datetime | None
    guide: Guide | None
    triggers: tuple[Trigger, ...] = ()
    is_traced: bool = False
    lasted: str = ""


class Open(NamedTuple):
    """Open findings: those that need a look, those that learning avoids, and how many are not shown."""

    incidents: tuple[Incident, ...]
    avoided: tuple[Incident, ...]
    more: int


class Closed(NamedTuple):
    """Closed findings of the last 31 days. `kinds`: for the filter; `is_cut`: whether older ones are left out."""

    incidents: tuple[Incident, ...]
    pager: Pager
    kind: str
    subject: str
    kinds: tuple[tuple[str, str], ...]
    is_cut: bool


class LearnerRuns(NamedTuple):
    """The learner's runs, and what they left out or did not publish."""

    runs: Runs
    frozen_at: datetime | None
    frozen_reason: str | None
    withheld: tuple[Incident, ...]
    exclusions: tuple[tuple[Exclusion, str], ...]


async def build(context: PageContext) -> Models:
    """Build the page."""
    recent, open_ones = context.of(RECENT_FINDINGS), context.of(OPEN_FINDINGS)
    if recent is None or open_ones is None:
        return dict.fromkeys(("headline", "week", "timeline", "open", "closed", "runs"))
    fleet = context.of(FLEET)
    if fleet is not None and not fleet.ingested and not recent:
        return {**dict.fromkeys(("week", "timeline", "open", "closed", "runs")), "headline": NOTHING_YET}
    return {
        "headline": headline(open_ones, recent),
        "week": week(recent, context.of(PAST_ACTIONS) or (), context.now),
        "timeline": draw_timeline(recent, context.query, context.now, context.zone),
        "open": open_incidents(open_ones, recent, context.of(CAUSES), context.of(MODEL_VERSIONS) or ()),
        "closed": closed_incidents(recent, context.query),
        "runs": learner_runs(context.of(RUNS), context.of(EXCLUSIONS) or (), recent, context.of(CONTROL)),
    }


def headline(open_ones: Sequence[Finding], recent: Sequence[Finding]) -> Headline:
    """Return the answer of the page."""
    by_state: dict[State, list[Finding]] = defaultdict(list)
    for each in open_ones:
        by_state[_state(each)].append(each)
    urgent = [*by_state["bad"], *by_state["look"]]
    worst = max(urgent, key=lambda each: (each.traffic_share or 0.0, each.opened_at), default=None)
    closed = [each.closed_at for each in recent if each.closed_at is not None and each.kind != "newcomer"]
    together = max((share for _, _, share in small_findings(open_ones)), default=0.0)
    is_bad = by_state["bad"] or together >= LARGE_SHARE
    return Headline(
        "bad" if is_bad else "look" if urgent or together >= TOGETHER_SHARE else "good",
        len(urgent),
        min((each.opened_at for each in urgent), default=None),
        f"{finding_title(worst.kind)}: {pair_words(worst.subject)}" if worst else "",
        len(by_state["neutral"]),
        together,
        len(by_state["note"]),
        max(closed, default=None),
    )


def week(recent: Sequence[Finding], actions: Sequence[PastAction], now: datetime) -> tuple[Fact, ...]:
    """Return how often incidents were opened in the last 7 days, how long they lasted, and who noticed them first."""
    counted_ones = [each for each in recent if each.kind != "newcomer"]
    opened = [each for each in counted_ones if each.opened_at > now - _WEEK]
    before = [each for each in counted_ones if now - 2 * _WEEK < each.opened_at <= now - _WEEK]
    lengths = [(each.closed_at - each.opened_at).total_seconds() for each in opened if each.closed_at]
    still = sum(each.closed_at is None for each in opened)
    news = len(recent) - len(counted_ones)
    past = f"{formats.number(len(before))} in the 7 days before"
    past += f"; without {counted(news, 'new model')}" if news else ""
    typical = f"median of {counted(len(lengths), 'closed one')}" if lengths else "none was closed"
    return (
        Fact("Opened in 7 days", formats.number(len(opened)), past),
        Fact("Typically lasted", age(median(lengths)) if lengths else "–", typical),
        Fact("Lasted longest", age(max(lengths)) if lengths else "–", f"{still or 'none'} still open"),
        _noticed(who_noticed(opened, actions, now)),
    )


def _noticed(noticed: Noticed) -> Fact:
    label = "Noticed first by a finding"
    if not noticed.both:
        return Fact(label, "–", "no operator acted on any of them" if noticed.alone else "there were none")
    before = f"{counted(noticed.operator, 'time')} an operator" if noticed.operator else "no operator"
    note = f"{before} had acted before; {noticed.alone:,} needed no action"
    return Fact(label, formats.number(noticed.finding), note, f"of {noticed.both}")


def open_incidents(
    open_ones: Sequence[Finding],
    recent: Sequence[Finding],
    causes: Sequence[Cause] | None,
    versions: Sequence[ModelVersion],
) -> Open:
    """Return the open findings, the most urgent first."""
    by_finding: dict[int, list[Trigger]] = defaultdict(list)
    for cause in causes or ():
        by_finding[cause.finding_id].append(_trigger(cause))
    for version in versions:
        told = f"answers for {version.model} began to name {version.version}"
        text = told if version.told else f"{version.model} was first asked as {version.version}"
        by_finding[version.finding_id].append(Trigger(version.at, text, None))
    ordered = sorted(open_ones, key=lambda each: _STATES.index(_state(each)))
    shown = ordered[:_MOST_OPEN]
    traced = {each.finding_id for each in open_ones[:_MOST_OPEN]} if causes is not None else set()
    incidents = [
        _incident(each, [*by_finding[each.finding_id], *_earlier(each, recent)], is_traced=each.finding_id in traced)
        for each in shown
    ]
    return Open(
        tuple(each for each in incidents if each.state != "neutral"),
        tuple(each for each in incidents if each.state == "neutral"),
        len(ordered) - len(shown),
    )


def _earlier(finding: Finding, recent: Iterable[Finding]) -> list[Trigger]:
    """Findings that were opened just before this one: a new model, a provider that began to fail."""
    return [
        Trigger(
            each.opened_at,
            f"Another finding was opened: {finding_title(each.kind)}, {pair_words(each.subject)}",
            finding_url(each),
        )
        for each in recent
        if finding.opened_at - _BEFORE <= each.opened_at < finding.opened_at
    ][:3]


def _trigger(cause: Cause) -> Trigger:
    if cause.kind == "score":
        pair = f"{cause.subject} for {cause.complexity} tasks"
        before = "" if cause.before is None else f" from {formats.score(cause.before)}"
        text = f"The score of {pair} {score_change(cause.what)}{before} to {formats.score(cause.after)}"
        return Trigger(cause.at, text, pair_url(cause.subject, cause.complexity or ""))
    if cause.kind == "action":
        text = f"An operator {verb(cause.what or '')}: {pair_words(cause.subject)}"
        return Trigger(cause.at, text, f"/activity#action-{cause.number}")
    who = cause.subject.rpartition(" as ")[0] or cause.subject
    entries = counted(int(cause.after or 0), "entry", "entries")
    text = f"{who} changed {entries} of the configuration, to version {cause.number}"
    return Trigger(cause.at, text, "/activity?action=change_configuration")


def closed_incidents(recent: Sequence[Finding], query: Mapping[str, str]) -> Closed:
    """Return closed findings, those that were closed last first."""
    kind, subject = query.get("kind", ""), query.get("subject", "").strip()
    kind = kind if kind in FINDING_KINDS else ""
    found = [
        each
        for each in recent
        if each.closed_at is not None and kind in ("", each.kind) and _matches(subject, each.subject)
    ]
    found.sort(key=lambda each: (each.closed_at or each.opened_at, each.finding_id), reverse=True)
    shown, pager = page_of(found, query, _PATH, _PAGE_SIZE, "#closed")
    present = {each.kind for each in recent}
    kinds = sorted(
        ((each, finding_title(each)) for each in {*present, *([kind] if kind else [])}), key=lambda each: each[1]
    )
    return Closed(
        tuple(_incident(each) for each in shown), pager, kind, subject, tuple(kinds), len(recent) >= MOST_FINDINGS
    )


def learner_runs(
    runs: Runs | None, exclusions: Sequence[Exclusion], recent: Sequence[Finding], control: Control | None
) -> LearnerRuns | None:
    """Return the learner's runs; None where they were not read."""
    if runs is None:
        return None
    withheld = [_incident(each) for each in recent if each.kind == "publication_withheld"]
    return LearnerRuns(
        runs,
        control.frozen_at if control else None,
        control.frozen_reason if control else None,
        tuple(withheld[:_MOST_WITHHELD]),
        tuple((each, instance_url(each.instance_id)) for each in exclusions),
    )


def _incident(finding: Finding, triggers: Iterable[Trigger] = (), *, is_traced: bool = False) -> Incident:
    url = finding_url(finding)
    closed = finding.closed_at
    return Incident(
        finding.finding_id,
        "good" if closed else _state(finding),
        finding_title(finding.kind),
        finding.kind,
        pair_words(finding.subject),
        None if url.startswith(_PATH) else url,
        sentence(finding.message, finding.names, statistics=True),
        finding.traffic_share,
        finding.opened_at,
        closed,
        finding_guide(finding.kind),
        tuple(sorted(triggers, key=lambda each: each.at, reverse=True)[:_MOST_CAUSES]),
        is_traced,
        age((closed - finding.opened_at).total_seconds()) if closed else "",
    )


def _state(finding: Finding) -> State:
    return finding_state(finding.kind, finding.traffic_share)


def _matches(part: str, subject: str) -> bool:
    return part.lower() in subject.lower() or part.lower() in pair_words(subject).lower()


PAGE: Final = Page(
    path=_PATH,
    name="incidents",
    title="Incidents",
    sources=(FLEET, OPEN_FINDINGS, RECENT_FINDINGS, CAUSES, MODEL_VERSIONS, RUNS, EXCLUSIONS, CONTROL, PAST_ACTIONS),
    build=build,
    parameters=("range", "kind", "subject", "page"),
)
