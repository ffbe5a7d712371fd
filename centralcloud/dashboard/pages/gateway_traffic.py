"""How the requests of gateways ended: of the last hour by event, of the last day by the sums of maintenance. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import urlencode

from centralcloud.dashboard.pages.addresses import request_url
from centralcloud.dashboard.pages.request_words import FAILED_CHECK, error_words
from centralcloud.dashboard.sources.gateways import NewRequest, RequestSum, Usage, UsageSum

#: Parameters of the page that are conditions on requests, each with its name on the page.
FILTERS: Final = {
    "workspace": "Workspace",
    "policy": "Policy",
    "task_type": "Task type",
    "model": "Model",
    "outcome": "Outcome",
    "error_kind": "Error",
}
OUTCOMES: Final = {
    "success": "answered at once",
    "failed_over": "answered after a failure",
    "failed": "failed, or its answer failed a check",
    "open": "no outcome yet",
}
ERROR_KINDS: Final = ("provider", "timeout", "policy", "caller")
DIMENSIONS: Final = {"workspace": "Workspace", "policy": "Policy", "task_type": "Task type"}
_DAY_DIMENSIONS: Final = {**DIMENSIONS, "model": "Model"}
_MOST_ROWS: Final = 12


class Choice(NamedTuple):
    """A link that changes one parameter of the page."""

    text: str
    url: str
    is_current: bool


class HourRow(NamedTuple):
    """Requests of the last hour with one name. `url`: shows them alone; None: no condition can."""

    name: str
    url: str | None
    sums: RequestSum


class DayRow(NamedTuple):
    """Use of the last day with one name."""

    name: str
    url: str | None
    sums: UsageSum


class Traffic(NamedTuple):
    """How requests ended.

    Attributes:
        periods, dimensions: links.
        hour, day: one of them is shown.
        total: of the hour; None without requests.
        open: of the hour, without an outcome.
        hidden: rows that are not shown.
        until: of the day: the sums have the records through then.
        filtered: conditions other than the defaults, in words.
        missing: why there are no numbers.
    """

    periods: tuple[Choice, ...]
    dimensions: tuple[Choice, ...]
    dimension: str
    total: RequestSum | None
    open: int
    hour: tuple[HourRow, ...]
    day_total: UsageSum | None
    day: tuple[DayRow, ...]
    hidden: int
    until: datetime | None
    escalations: int
    filtered: str
    missing: str | None


class ListedRequest(NamedTuple):
    """One of the newest requests. `result`: in words."""

    url: str
    request: NewRequest
    state: str
    result: str


class Newest(NamedTuple):
    """The newest requests.

    Attributes:
        outcomes, errors: values and words of the form.
        searched_since: when the oldest event began that was searched; None: all that was asked for was found.
        further: link that searches further back; None: it was done, or is not needed.
        missing: why there are none.
    """

    rows: tuple[ListedRequest, ...]
    given: Mapping[str, str]
    outcomes: tuple[tuple[str, str], ...]
    errors: tuple[tuple[str, str], ...]
    searched: int
    searched_since: datetime | None
    further: str | None
    is_filtered: bool
    missing: str | None


def address(query: Mapping[str, str], anchor: str = "", **changes: str | None) -> str:
    """Return the address of the page with some parameters changed; None removes one."""
    kept = {name: value for name, value in {**query, **changes}.items() if value}
    return f"/gateway{'?' + urlencode(kept) if kept else ''}{'#' + anchor if anchor else ''}"


def hour_traffic(sums: Sequence[RequestSum] | None, query: Mapping[str, str]) -> Traffic:
    """Return the requests of the last hour; `sums` None: they cannot be read now."""
    dimension = query.get("by", "") if query.get("by") in DIMENSIONS else "workspace"
    total = next((each for each in sums or () if each.dimension == "all" and each.requests), None)
    own = [each for each in sums or () if each.dimension == dimension]
    rows = [
        HourRow(each.name or _none(dimension), _only(query, dimension, each.name), each) for each in own[:_MOST_ROWS]
    ]
    ended = (total.at_once + total.failed_over + total.failed + total.blameless) if total else 0
    missing = "It cannot be read now." if sums is None else None if total else "None within the last hour."
    return Traffic(
        _periods(query, "hour"),
        _dimensions(query, DIMENSIONS, dimension),
        DIMENSIONS[dimension],
        total,
        total.requests - ended if total else 0,
        tuple(rows),
        None,
        (),
        len(own) - len(rows),
        None,
        0,
        filtered_words(query),
        missing,
    )


def day_traffic(usage: Usage | None, query: Mapping[str, str]) -> Traffic:
    """Return the use of the last day; `usage` None: it cannot be read now."""
    dimension = query.get("by", "") if query.get("by") in _DAY_DIMENSIONS else "workspace"
    sums = usage.sums if usage else ()
    total = next((each for each in sums if each.dimension == "all"), None)
    own = [each for each in sums if each.dimension == dimension]
    rows = [
        DayRow(each.name or _none(dimension), _only(query, dimension, each.name), each) for each in own[:_MOST_ROWS]
    ]
    nothing = "The sums of the last day are not made yet: maintenance makes them."
    missing = "It cannot be read now." if usage is None else None if total else nothing
    return Traffic(
        _periods(query, "day"),
        _dimensions(query, _DAY_DIMENSIONS, dimension),
        _DAY_DIMENSIONS[dimension],
        None,
        0,
        (),
        total,
        tuple(rows),
        len(own) - len(rows),
        usage.until if usage else None,
        usage.escalations if usage else 0,
        filtered_words(query),
        missing,
    )


def newest(
    found: Sequence[NewRequest] | None, query: Mapping[str, str], *, most: int, further: bool, is_filtered: bool
) -> Newest:
    """Return the newest requests; `found` None: they cannot be read now.

    Args:
        most: the events that were searched at most.
        further: whether the search went further back than usual.
        is_filtered: whether there are conditions: then fewer than asked for may have been found.
    """
    rows = tuple(_listed(each) for each in found or ())
    searched = found[0].searched if found else most if found is not None and is_filtered else 0
    ended_early = is_filtered and len(rows) < 50 and searched >= most
    nothing = "None of the newest requests fulfils these conditions." if is_filtered else "None was ingested yet."
    return Newest(
        rows,
        {name: query.get(name, "") for name in FILTERS},
        tuple(OUTCOMES.items()),
        tuple((kind, error_words(kind)) for kind in ERROR_KINDS),
        searched,
        found[0].searched_since if found and ended_early else None,
        address(query, "requests", search="further") if ended_early and not further else None,
        is_filtered,
        "They cannot be read now." if found is None else None if rows else nothing,
    )


def filtered_words(query: Mapping[str, str]) -> str:
    """Return the conditions on the sums, in words: "workspace acme, policy code"; empty without any."""
    names = ("workspace", "policy", "task_type", "model")
    return ", ".join(f"{FILTERS[name].lower()} {query[name]}" for name in names if query.get(name))


def _listed(request: NewRequest) -> ListedRequest:
    url = request_url(request.request_id)
    if request.success:
        after = request.attempts > 1
        return ListedRequest(url, request, "note" if after else "good", OUTCOMES["failed_over" if after else "success"])
    if request.failure:
        words = FAILED_CHECK if request.failed_check else error_words(request.error_kind)
        return ListedRequest(url, request, "look", words)
    return ListedRequest(url, request, "neutral", OUTCOMES["open"])


def _periods(query: Mapping[str, str], current: str) -> tuple[Choice, ...]:
    texts = {"hour": "last hour", "day": "last day"}
    return tuple(
        Choice(text, address(query, period=None if name == "hour" else name), name == current)
        for name, text in texts.items()
    )


def _dimensions(query: Mapping[str, str], names: Mapping[str, str], current: str) -> tuple[Choice, ...]:
    return tuple(Choice(text.lower(), address(query, by=name), name == current) for name, text in names.items())


def _only(query: Mapping[str, str], dimension: str, name: str | None) -> str | None:
    return address(query, **{dimension: name}) if name and name != query.get(dimension) else None


def _none(dimension: str) -> str:
    return {"workspace": "no workspace", "policy": "no policy", "task_type": "no type", "model": "no model"}[dimension]
