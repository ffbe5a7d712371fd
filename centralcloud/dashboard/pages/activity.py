"""The activity: what operators have changed, in words, newest first."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from centralcloud.dashboard.pages.action_words import VERBS, Deed, describe
from centralcloud.dashboard.pages.listing import address, whole
from centralcloud.dashboard.pages.words import via
from centralcloud.dashboard.sources.activity import (
    ACTIONS,
    ACTIONS_OF,
    CONFIGURATION_VERSIONS,
    PAGE_SIZE,
    ActionFilter,
    ActionRow,
    ConfigurationVersion,
)
from centralcloud.dashboard.web.page import Models, Page, PageContext
from centralcloud.runtime.wording import counted, printable_json

_PATH: Final = "/activity"
_AGES: Final = {"1d": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30), "90d": timedelta(days=90)}
_AGE_WORDS: Final = {
    "1d": "the last day",
    "7d": "the last 7 days",
    "30d": "the last 30 days",
    "90d": "the last 90 days",
}


class Entry(NamedTuple):
    """One line of the log.

    Attributes:
        who, role: the operator, and the database role of the connection.
        via: "by a command".
        raw: the values before and after as JSON; empty: there are none.
        is_cut: whether `raw` lacks the long parts.
    """

    key: str
    at: datetime
    who: str
    role: str
    via: str
    source: str
    deed: Deed
    reason: str | None
    version: int | None
    raw: tuple[tuple[str, str], ...] = ()
    is_cut: bool = False


class Log(NamedTuple):
    """A page of the log. `newest`, `older`: addresses; None: there is no such page."""

    entries: tuple[Entry, ...]
    is_filtered: bool
    newest: str | None
    older: str | None


class Filters(NamedTuple):
    """The filters: what was asked for, and what can be."""

    who: str
    action: str
    subject: str
    since: str
    problem: str
    actions: tuple[tuple[str, str], ...]
    ages: tuple[tuple[str, str], ...]
    command: str


class Headline(NamedTuple):
    """The newest action, as the answer of the page. `number`: actions of the last 24 hours; `more`: there are still more."""

    newest: Entry | None
    number: int
    more: bool


async def build(context: PageContext) -> Models:
    """Build the page."""
    recent, versions = context.of(ACTIONS), context.of(CONFIGURATION_VERSIONS) or ()
    which, problem = read_filter(context.query, context.now)
    filters = _filters(context.query, problem)
    if recent is None:
        return {"headline": None, "filters": filters, "log": None}
    rows = recent if which == ActionFilter() else await context.lookup(ACTIONS_OF, which)
    return {
        "headline": headline(recent, versions, context.now),
        "filters": filters,
        "log": log(rows, versions, which, context.query),
    }


def read_filter(query: Mapping[str, str], now: datetime) -> tuple[ActionFilter, str]:
    """Return the filter of a query, and what is wrong with it; what is wrong does not filter."""
    since, problem = None, ""
    text = query.get("since", "").strip()
    if text in _AGES:
        # Whole hours: the filter names the same rows for a while, so that they are not read again and again.
        since = (now - _AGES[text]).replace(minute=0, second=0, microsecond=0)
    elif text:
        try:
            since = datetime.fromisoformat(text)
            since = since if since.tzinfo else since.replace(tzinfo=now.tzinfo)
        except ValueError:
            problem = f"Since: found “{text}”, expected a date such as 2026-11-20, or 7d."
    action = query.get("action") or None
    return (
        ActionFilter(
            query.get("who", "").strip() or None,
            action if action in VERBS else None,
            query.get("subject", "").strip() or None,
            since,
            whole(query.get("until")),
        ),
        problem,
    )


def headline(rows: Sequence[ActionRow], versions: Sequence[ConfigurationVersion], now: datetime) -> Headline:
    """Return the newest action, and how many there were in the last day."""
    day = [row for row in rows[:PAGE_SIZE] if row.at > now - timedelta(days=1)]
    more = len(rows) > PAGE_SIZE and len(day) == PAGE_SIZE
    return Headline(_entry(rows[0], _newest(versions)) if rows else None, len(day), more)


def log(
    rows: Sequence[ActionRow],
    versions: Sequence[ConfigurationVersion],
    which: ActionFilter,
    query: Mapping[str, str],
) -> Log:
    """Return a page of the log, with those versions of the configuration that the log of actions does not have."""
    shown, newest = rows[:PAGE_SIZE], _newest(versions)
    entries = [_entry(row, newest) for row in shown]
    older = rows[PAGE_SIZE].id if len(rows) > PAGE_SIZE else None
    if which.subject is None and which.action in (None, "change_configuration"):
        oldest = rows[PAGE_SIZE].at if older is not None else None
        newest_at = shown[0].at if shown and which.until_id is not None else None
        entries += _unlogged(rows, versions, which, oldest, newest_at)
    entries.sort(key=lambda each: each.at, reverse=True)
    filtered = which._replace(until_id=None) != ActionFilter()
    return Log(
        tuple(entries),
        filtered,
        address(_PATH, query, until=None) if which.until_id is not None else None,
        address(_PATH, query, until=older) if older is not None else None,
    )


def _unlogged(
    rows: Sequence[ActionRow],
    versions: Sequence[ConfigurationVersion],
    which: ActionFilter,
    oldest: datetime | None,
    newest: datetime | None,
) -> Iterator[Entry]:
    """Versions of the stretch of a page without an action: those of a database that was copied without its log."""
    logged = {row.values[1].get("config_version") for row in rows}
    for each in versions:
        if each.version in logged or (oldest and each.at <= oldest) or (newest and each.at >= newest):
            continue
        if (which.since and each.at < which.since) or (which.who and which.who.lower() not in each.who.lower()):
            continue
        who, role = _author(each.who)
        deed = Deed("changed", counted(each.entries, "entry", "entries"), None, "of the configuration")
        yield Entry(f"version-{each.version}", each.at, who, role, "", "", deed, each.reason, None)


def _entry(row: ActionRow, newest: int | None) -> Entry:
    who, role = _author(row.who)
    raw = tuple((name, _indented(text)) for name, text in (("before", row.before), ("after", row.after)) if text)
    deed, way = describe(row, newest), via(row.way)
    return Entry(f"action-{row.id}", row.at, who, role, way, row.source, deed, row.reason, row.version, raw, row.is_cut)


def _author(text: str) -> tuple[str, str]:
    """Separate the operator from the database role."""
    who, separator, role = text.rpartition(" as ")
    return (who, role) if separator else (text, "")


def _indented(text: str) -> str:
    return printable_json(json.dumps(json.loads(text), indent=2, ensure_ascii=False))


def _newest(versions: Sequence[ConfigurationVersion]) -> int | None:
    return versions[0].version if versions else None


def _filters(query: Mapping[str, str], problem: str) -> Filters:
    words = ["centralcloud", "history"]
    for name in ("subject", "action"):
        if query.get(name):
            words += [f"--{name}", query[name]]
    since = query.get("since", "").strip()
    return Filters(
        query.get("who", ""),
        query.get("action", ""),
        query.get("subject", ""),
        since,
        problem,
        tuple(sorted(VERBS.items(), key=lambda each: each[1])),
        tuple(_AGE_WORDS.items()),
        shlex.join([*words, *(["--since", since] if since and not problem else [])]),
    )


PAGE: Final = Page(
    path=_PATH,
    name="activity",
    title="Activity",
    sources=(ACTIONS, CONFIGURATION_VERSIONS),
    build=build,
    parameters=("who", "action", "subject", "since", "until"),
)
