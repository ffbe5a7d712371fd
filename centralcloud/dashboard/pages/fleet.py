"""The fleet: which router is stale or not believed, whether the daemon ingests, and what was lost on the way."""

import shlex
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from markupsafe import Markup

from centralcloud.dashboard.charts.sparkline import sparkline
from centralcloud.dashboard.pages.addresses import incident_url, instance_url, model_url, pair_url
from centralcloud.dashboard.pages.listing import Pager, address, page_of
from centralcloud.dashboard.pages.words import State, finding_title, lease_work
from centralcloud.dashboard.sources.findings import OPEN_FINDINGS, Finding
from centralcloud.dashboard.sources.fleet import FLEET, FleetState
from centralcloud.dashboard.sources.instances import (
    INSTANCE_MODELS,
    INSTANCES,
    LATE_AND_LOST,
    LEASES,
    LETTERS,
    MOST_INSTANCES,
    SENDERS,
    WORKERS,
    Instance,
    InstanceModel,
    LateAndLost,
    Lease,
    Letters,
    Sender,
    Worker,
)
from centralcloud.dashboard.sources.minutes import MINUTES, FleetMinute
from centralcloud.dashboard.sources.queue import QUEUE, QueueState
from centralcloud.dashboard.web import formats
from centralcloud.dashboard.web.page import Models, Page, PageContext
from centralcloud.runtime.wording import age, counted

_PATH: Final = "/fleet"
PAGE_SIZE: Final = 50
_MOST_LOST: Final = 25
#: Models that the row of an instance names.
_NAMED_MODELS: Final = 2
#: Share of decisions without an outcome, in percent, from which on a pair is marked.
_LOST_LOOK: Final = 20.0

Flag = Callable[[Instance], bool]


class _Group(NamedTuple):
    words: str
    state: State
    holds: Flag


_GROUPS: Final[dict[str, _Group]] = {
    "current": _Group(
        "on the newest scores", "good", lambda each: not (each.is_behind or each.is_silent or each.quarantine)
    ),
    "behind": _Group("behind", "look", lambda each: each.is_behind),
    "silent": _Group("silent for 10 minutes", "look", lambda each: each.is_silent),
    "quarantined": _Group("not believed", "bad", lambda each: each.quarantine is not None),
}
_SORTS: Final[dict[str, tuple[str, Callable[[Instance], Any]]]] = {
    "worst": ("the worst first", lambda each: (-_rank(each), -each.versions_behind, each.instance_id)),
    "name": ("by name", lambda each: each.instance_id),
    "behind": ("most behind first", lambda each: (-each.versions_behind, each.instance_id)),
    "seen": ("longest unseen first", lambda each: (each.last_seen_at, each.instance_id)),
    "decisions": ("most decisions first", lambda each: (-each.decisions, each.instance_id)),
}


class Headline(NamedTuple):
    """The answer of the page."""

    state: State
    title: str
    text: str


class Group(NamedTuple):
    """Instances of one kind, to filter by. `is_chosen`: whether the list shows them alone."""

    state: State
    words: str
    number: int
    url: str
    is_chosen: bool


class Row(NamedTuple):
    """An instance in the list.

    Attributes:
        badges: state, words and address of each thing that is unusual about it.
        lag: "on the newest", "3 versions behind".
        width: of the bar, 0 to 100: the lag against the largest one of the fleet, at least a little if there is one.
        models: the models that it used most in 24 hours, in words.
        kind: "gateway", "library", or empty where it is not known.
    """

    name: str
    url: str
    badges: tuple[tuple[State, str, str | None], ...]
    lag: str
    version: int
    width: float
    last_seen_at: datetime
    decisions: int
    models: str
    kind: str


class Listing(NamedTuple):
    """A page of instances."""

    groups: tuple[Group, ...]
    rows: tuple[Row, ...]
    pager: Pager
    show: str
    sort: str
    sorts: tuple[tuple[str, str], ...]
    part: str
    total: int
    is_cut: bool


class ModelShare(NamedTuple):
    """A model that an instance uses, within 24 hours."""

    model: str
    url: str
    decisions: int
    share: float
    success_rate: float | None


class Details(NamedTuple):
    """One instance. `findings`: title, message and address of what is open about it."""

    row: Row
    first_seen_at: datetime
    newest_version: int
    models: tuple[ModelShare, ...]
    findings: tuple[tuple[State, str, str, str], ...]
    commands: tuple[tuple[str, str], ...]


class Fact(NamedTuple):
    """A number of the queue, with what it means."""

    label: str
    value: str
    unit: str
    note: str
    chart: Markup


class Process(NamedTuple):
    """A process that ingests, and the work that it does for all."""

    worker: Worker
    work: tuple[str, ...]


class Workers(NamedTuple):
    """The processes that ingest. `others`: leases of processes that do not ingest, or that none holds."""

    running: int
    processes: tuple[Process, ...]
    others: tuple[Lease, ...]
    other_words: tuple[str, ...]
    degraded: tuple[tuple[str, str, datetime, str], ...]


class LetterRow(NamedTuple):
    """Dead letters of one field, with the commands that show them and send them again."""

    letters: Letters
    show: str
    replay: str


class DeadLetters(NamedTuple):
    """Open dead letters."""

    total: int
    new: int
    rows: tuple[LetterRow, ...]


class LostRow(NamedTuple):
    """A pair with late or lost outcomes. `lost`: decisions without an outcome."""

    pair: str
    url: str
    state: State | None
    decisions: int
    lost: int
    lost_share: float | None
    late: int
    late_share: float | None


class Lost(NamedTuple):
    """Late and lost outcomes; `more`: pairs that are not shown, `fine`: those that lack nothing."""

    rows: tuple[LostRow, ...]
    more: int
    fine: int


async def build(context: PageContext) -> Models:
    """Build the page."""
    fleet, instances = context.of(FLEET), context.of(INSTANCES)
    if fleet is None or instances is None:
        return dict.fromkeys(("headline", "instance", "instances", "queue", "dead-letters", "workers", "lost"))
    models, senders = context.of(INSTANCE_MODELS) or (), context.of(SENDERS) or ()
    findings = context.of(OPEN_FINDINGS) or ()
    wanted = context.query.get("instance", "").strip()
    rows = Rows(instances, models, senders)
    return {
        "headline": headline(fleet, instances),
        "instance": details(wanted, instances, rows, findings, fleet.version),
        "instances": listing(instances, rows, context.query),
        "queue": queue(context.of(QUEUE), context.of(MINUTES) or ()),
        "dead-letters": dead_letters(context.of(LETTERS)),
        "workers": workers(context.of(WORKERS), context.of(LEASES) or (), findings),
        "lost": lost(context.of(LATE_AND_LOST)),
    }


def headline(fleet: FleetState, instances: Sequence[Instance]) -> Headline:
    """Return the answer of the page: the worst thing about the fleet, in one sentence."""
    quarantined = sum(each.quarantine is not None for each in instances)
    silent = sum(each.is_silent for each in instances)
    known = counted(len(instances), "instance")
    ingest = "" if fleet.workers else " No daemon is running that ingests."
    if not instances:
        text = f"A router, a sidecar or a gateway appears here when it has read the scores for the first time.{ingest}"
        return Headline("neutral" if fleet.workers else "bad", "No instance is registered", text)
    state: State = "bad" if not fleet.workers or quarantined else "look" if fleet.behind or silent else "good"
    if not fleet.workers:
        title = "No daemon is running that ingests"
        ingest = ""
    elif fleet.behind:
        be = "is" if fleet.behind == 1 else "are"
        title = f"{fleet.behind:,} of {known} {be} behind the newest scores"
    elif silent:
        title = f"{silent:,} of {known} {'is' if silent == 1 else 'are'} silent"
    else:
        title = f"{'The instance is' if len(instances) == 1 else f'All {known} are'} on the newest scores"
    parts = [f"The newest version is {fleet.version:,}." if fleet.version else "No score was published yet."]
    if quarantined:
        parts.append(f"The outcomes of {quarantined:,} are not believed.")
    if fleet.furthest_behind is not None:
        lag = counted(fleet.versions_behind or 0, "version")
        parts.append(f"{fleet.furthest_behind} is {lag} behind.")
    return Headline(state, title, " ".join(parts) + ingest)


class Rows:
    """Makes rows of the list from instances."""

    def __init__(
        self, instances: Sequence[Instance], models: Sequence[InstanceModel], senders: Sequence[Sender]
    ) -> None:
        self._most = max((each.versions_behind for each in instances), default=0)
        self._models: dict[str, list[InstanceModel]] = defaultdict(list)
        for each in models:
            self._models[each.instance_id].append(each)
        self._kinds = {each.instance_id: "gateway" if each.is_gateway else "library" for each in senders}

    def models_of(self, instance_id: str) -> Sequence[InstanceModel]:
        return self._models.get(instance_id, ())

    def row(self, each: Instance) -> Row:
        lag = each.versions_behind
        badges: list[tuple[State, str, str | None]] = []
        if each.quarantine is not None:
            badges.append(("bad", "not believed", incident_url(each.quarantine)))
        if each.is_silent:
            badges.append(("look", "silent", None))
        return Row(
            each.instance_id,
            instance_url(each.instance_id),
            tuple(badges),
            f"{counted(lag, 'version')} behind" if lag else "on the newest",
            each.applied_version,
            round(max(4.0, 100 * lag / self._most), 1) if lag else 0.0,
            each.last_seen_at,
            each.decisions,
            self._models_words(each.instance_id),
            self._kinds.get(each.instance_id, ""),
        )

    def _models_words(self, instance_id: str) -> str:
        used = self.models_of(instance_id)
        total = sum(each.decisions for each in used)
        if not total:
            return ""
        named = [f"{each.model} {formats.percent(each.decisions / total, 0)}" for each in used[:_NAMED_MODELS]]
        more = len(used) - len(named)
        return ", ".join(named) + (f", {more} more" if more > 0 else "")


def listing(instances: Sequence[Instance], rows: Rows, query: Mapping[str, str]) -> Listing:
    """Return a page of the instances that the query asks for."""
    part = query.get("instance", "").strip()
    show = query.get("show", "")
    sort = query.get("sort", "")
    sort = sort if sort in _SORTS else "worst"
    named = [each for each in instances if part.lower() in each.instance_id.lower()]
    chosen = [each for each in named if _GROUPS[show].holds(each)] if show in _GROUPS else named
    shown, pager = page_of(sorted(chosen, key=_SORTS[sort][1]), query, _PATH, PAGE_SIZE, "#instances")
    groups = tuple(
        Group(
            group.state,
            group.words,
            sum(map(group.holds, named)),
            address(_PATH, query, "#instances", show=None if code == show else code, page=None),
            code == show,
        )
        for code, group in _GROUPS.items()
    )
    return Listing(
        groups,
        tuple(rows.row(each) for each in shown),
        pager,
        show if show in _GROUPS else "",
        sort,
        tuple((code, words) for code, (words, _) in _SORTS.items()),
        part,
        len(named),
        len(instances) >= MOST_INSTANCES,
    )


def details(
    wanted: str,
    instances: Sequence[Instance],
    rows: Rows,
    findings: Sequence[Finding],
    newest_version: int,
) -> Details | None:
    """Return everything about the instance of exactly that name; None without one."""
    found = next((each for each in instances if each.instance_id == wanted), None)
    if found is None:
        return None
    used = rows.models_of(wanted)
    total = sum(each.decisions for each in used)
    shares = tuple(
        ModelShare(
            each.model,
            model_url(each.model),
            each.decisions,
            each.decisions / total if total else 0.0,
            each.successes / (each.successes + each.failures) if each.successes + each.failures else None,
        )
        for each in used
    )
    about = [each for each in findings if each.subject == wanted or each.about.get("instance") == wanted]
    commands = [("Its version, and those of the others", "centralcloud instances list")]
    if found.is_silent:
        forget = shlex.join(["centralcloud", "instances", "forget", wanted])
        commands.append(("If it no longer exists", forget))
    return Details(
        rows.row(found), found.first_seen_at, newest_version, shares, tuple(map(_signal, about)), tuple(commands)
    )


def _signal(finding: Finding) -> tuple[State, str, str, str]:
    state: State = "bad" if finding.kind == "quarantined_instance" else "look"
    return state, finding_title(finding.kind), finding.message, incident_url(finding.finding_id)


def queue(state: QueueState | None, minutes: Sequence[FleetMinute]) -> tuple[Fact, ...] | None:
    """Return the queue in numbers; None where it cannot be read."""
    if state is None:
        return None
    depths = [float(each.queue_messages) for each in minutes]
    oldest = state.oldest_waiting_seconds
    known = [each for each in minutes if each.ingested is not None and each.counted_seconds > 0]
    rates = [(each.ingested or 0) / each.counted_seconds for each in known]
    spark = (
        sparkline(depths, label=f"Messages in the queue over the last day, at most {max(depths):,.0f}", low=0.0)
        if len(depths) > 1
        else Markup()
    )
    rate_spark = (
        sparkline(rates, label="Events ingested a second over the last day", low=0.0) if len(rates) > 1 else Markup()
    )
    size, unit = _bytes(state.bytes_on_disk)
    number = f"{'at least ' if state.capped else ''}{state.messages:,}"
    waits = "none waits" if oldest is None else ""
    retries = f"{state.delayed:,} wait for their next try"
    return (
        Fact("In the queue", number, "messages", _trend(minutes), spark),
        Fact("Oldest has waited", "–" if oldest is None else age(oldest), "", waits, Markup()),
        Fact("Being ingested now", f"{state.in_flight:,}", "in flight", retries, Markup()),
        Fact("Ingested", _rate(rates[-1]) if rates else "–", "/s", _busiest(rates), rate_spark),
        Fact("On disk", size, unit, "with its indexes", Markup()),
    )


def _trend(minutes: Sequence[FleetMinute]) -> str:
    if len(minutes) < 2:
        return ""
    most = max(minutes, key=lambda each: each.queue_messages)
    return f"at most {most.queue_messages:,} in the last day"


def _busiest(rates: Sequence[float]) -> str:
    return f"at most {_rate(max(rates))}/s in a minute of the last day" if rates else ""


def _rate(rate: float) -> str:
    return formats.number(rate, 1 if rate < 10 else 0)


def dead_letters(letters: Sequence[Letters] | None) -> DeadLetters | None:
    """Return the open dead letters by field; None where they were not read."""
    if letters is None:
        return None
    rows = tuple(
        LetterRow(
            each,
            shlex.join(["centralcloud", "dead-letters", "show", str(each.newest_id)]),
            shlex.join(
                ["centralcloud", "dead-letters", "replay", "--field", each.field, "--why", "the cause is fixed"]
            ),
        )
        for each in letters
    )
    return DeadLetters(sum(each.letters for each in letters), sum(each.new for each in letters), rows)


def workers(found: Sequence[Worker] | None, leases: Sequence[Lease], findings: Sequence[Finding]) -> Workers | None:
    """Return the processes that ingest, with their leases, and the tasks that fail; None where they were not read."""
    if found is None:
        return None
    held: dict[str, list[str]] = defaultdict(list)
    for lease in leases:
        if lease.is_held:
            held[lease.holder].append(lease_work(lease.name))
    holders = {f"{each.host}/{each.process}" for each in found}
    processes = tuple(Process(each, tuple(held[f"{each.host}/{each.process}"])) for each in found)
    others = tuple(lease for lease in leases if not lease.is_held or lease.holder not in holders)
    degraded = tuple(
        (str(each.about.get("task", each.subject)), each.message, each.opened_at, incident_url(each.finding_id))
        for each in findings
        if each.kind == "task_degraded"
    )
    return Workers(
        sum(each.is_running for each in found),
        processes,
        others,
        tuple(lease_work(lease.name) for lease in others),
        degraded,
    )


def lost(pairs: Sequence[LateAndLost] | None) -> Lost | None:
    """Return the pairs whose outcomes come late or never, those that lack most first; None where they were not read."""
    if pairs is None:
        return None
    rows = []
    for each in pairs:
        percent = each.unresolved_percent
        if not percent and not each.late:
            continue
        share = None if percent is None else percent / 100
        rows.append(
            LostRow(
                f"{each.model} for {each.complexity} tasks",
                pair_url(each.model, each.complexity),
                "look" if percent is not None and percent >= _LOST_LOOK else None,
                each.decisions,
                round(each.decisions * (share or 0.0)),
                share,
                each.late,
                None if each.late_percent is None else each.late_percent / 100,
            )
        )
    rows.sort(key=lambda row: (-row.lost, -row.late, row.pair))
    return Lost(tuple(rows[:_MOST_LOST]), max(0, len(rows) - _MOST_LOST), len(pairs) - len(rows))


def _rank(each: Instance) -> int:
    return 4 * (each.quarantine is not None) + 2 * each.is_behind + each.is_silent


def _bytes(size: int) -> tuple[str, str]:
    """Return a size with its unit, of 1,024."""
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return formats.number(value, 1 if value < 10 and unit != "B" else 0), unit


PAGE: Final = Page(
    path=_PATH,
    name="fleet",
    title="Fleet",
    sources=(
        FLEET, INSTANCES, INSTANCE_MODELS, SENDERS, QUEUE, MINUTES, LETTERS, WORKERS, LEASES, OPEN_FINDINGS, LATE_AND_LOST
    ),
    build=build,
    parameters=("instance", "show", "sort", "page"),
)  # fmt: skip
