"""The instances of the fleet: a list in groups and pages, and everything about one. Pure."""

import shlex
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from centralcloud.dashboard.pages.addresses import incident_url, instance_url, model_url
from centralcloud.dashboard.pages.listing import Pager, address, page_of
from centralcloud.dashboard.pages.words import State, finding_title, sentence
from centralcloud.dashboard.sources.findings import Finding
from centralcloud.dashboard.sources.instances import (
    MOST_INSTANCES,
    Instance,
    InstanceModel,
    Sender,
)
from centralcloud.dashboard.web import formats
from centralcloud.runtime.wording import counted

_PATH: Final = "/fleet"

PAGE_SIZE: Final = 50

#: Models that the row of an instance names.
_NAMED_MODELS: Final = 2

Flag = Callable[[Instance], bool]


class _Group(NamedTuple):
    words: str
    state: State
    holds: Flag


_GROUPS: Final[dict[str, _Group]] = {
    "current": _Group("up to date", "good", lambda each: not (each.is_behind or each.is_silent or each.quarantine)),
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
        lag: "on the newest", "3 versions on their way", "3 versions behind", "3 versions behind when last seen".
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
        """Return the models that an instance used, most decisions first."""
        return self._models.get(instance_id, ())

    def row(self, each: Instance) -> Row:
        """Return the row of an instance."""
        lag = 0 if _is_on_its_way(each) else each.versions_behind
        badges: list[tuple[State, str, str | None]] = []
        if each.quarantine is not None:
            badges.append(("bad", "not believed", incident_url(each.quarantine)))
        if each.is_silent:
            badges.append(("look", "silent", None))
        return Row(
            each.instance_id,
            instance_url(each.instance_id),
            tuple(badges),
            _lag_words(each),
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
    return (
        state,
        finding_title(finding.kind),
        sentence(finding.message, finding.names),
        incident_url(finding.finding_id),
    )


def _is_on_its_way(each: Instance) -> bool:
    """Return whether the versions that an instance lacks are those of the last seconds: they are not a lag."""
    return not each.is_behind and not each.is_silent


def _lag_words(each: Instance) -> str:
    if not each.versions_behind:
        return "on the newest"
    versions = counted(each.versions_behind, "version")
    if _is_on_its_way(each):
        return f"{versions} on {'its' if each.versions_behind == 1 else 'their'} way"
    return f"{versions} behind when last seen" if each.is_silent else f"{versions} behind"


def _rank(each: Instance) -> int:
    return 4 * (each.quarantine is not None) + 2 * each.is_behind + each.is_silent
