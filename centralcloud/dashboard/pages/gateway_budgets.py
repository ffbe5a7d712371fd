"""Budgets and rate limits in words, each with a bar of what is spent, leased and left. Pure."""

from datetime import datetime
from typing import Final, NamedTuple

from markupsafe import Markup

from centralcloud.dashboard.pages.request_words import period_words
from centralcloud.dashboard.sources.budgets import Budget, Budgets, SpendPeriod
from centralcloud.dashboard.web import formats

#: Characters of the id of a key: enough to recognize it.
_KEY_CHARACTERS: Final = 12
_UNITS: Final = {"requests": "requests", "tokens": "tokens"}
_SCOPES: Final = {
    "fleet": "the whole fleet",
    "exploration": "exploration",
    "workspace": "workspace",
    "key": "key",
    "policy": "policy",
    "worker": "worker",
}
_MOST: Final = 60


class Meter(NamedTuple):
    """A budget or a limit.

    Attributes:
        name: in words: "workspace acme, a day".
        state, text: of its badge.
        spent, leased, left, limit: amounts in words.
        bar: a drawing of them.
        ends: when the period ends; None: it is a limit of each request.
        alerted_at, alert: when it was first near its limit, and what became of the alert.
    """

    name: str
    state: str
    text: str
    spent: str
    leased: str
    left: str
    limit: str
    estimated: str | None
    written_off: str | None
    bar: Markup
    ends: datetime | None
    alerted_at: datetime | None
    alert: str | None


class Meters(NamedTuple):
    """All budgets and limits, the fullest first; `full`: those that are used up; `hidden`: that are not shown."""

    rows: tuple[Meter, ...]
    full: int
    hidden: int


def meters_of(budgets: Budgets) -> Meters:
    """Return the budgets and limits of now."""
    configured = {each.budget_id: each for each in budgets.configured}
    rows = [_spent(each, configured) for each in budgets.periods if each.limit_amount or each.spent]
    begun = {each.meter.removeprefix("budget/") for each in budgets.periods}
    rows += [_unspent(each) for each in budgets.configured if each.budget_id not in begun]
    return Meters(tuple(rows[:_MOST]), sum(row.state == "bad" for row in rows), max(0, len(rows) - _MOST))


def meter_words(meter: str, configured: Budget | None) -> str:
    """Return the name of a meter in words: "workspace acme, a day"."""
    kind, _, name = meter.partition("/")
    if kind in ("requests", "tokens"):
        short = name if len(name) <= _KEY_CHARACTERS else f"{name[:_KEY_CHARACTERS]}…"
        return f"key {short}, {kind} a minute"
    parts = name.split(":")
    scope = configured.scope if configured else parts[0]
    period = configured.period if configured else parts[-1]
    of = ":".join(parts[1:-1]) if parts[0] == scope and parts[-1] == period else ""
    known = _SCOPES.get(scope)
    if known is None or (not of and scope not in ("fleet", "exploration")):
        words = f"{name}" if configured is None else f"{name}, {period_words(period)}"
    else:
        words = f"{known}{' ' + of if of else ''}, {period_words(period)}"
    return f"{words}: overdraft for cheap models" if kind == "overdraft" else words


def bar(spent: int, leased: int, limit: int, label: str) -> Markup:
    """Return a bar of what is spent and leased of a limit. Colours come from classes; widths are parts of 1,000."""
    used = min(1000, round(1000 * spent / limit)) if limit else 1000
    held = min(1000 - used, round(1000 * leased / limit)) if limit else 0
    return Markup(
        '<svg class="meter-drawing" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="left" width="1000" height="10"/><rect class="{}" width="{}" height="10"/>'
        '<rect class="leased" x="{}" width="{}" height="10"/></svg>'
    ).format(label, "over" if used >= 1000 else "spent", used, used, held)


def _spent(period: SpendPeriod, configured: dict[str, Budget]) -> Meter:
    budget = configured.get(period.meter.partition("/")[2]) if period.unit == "nano_usd" else None
    spent = period.spent + period.written_off
    left = max(0, period.limit_amount - spent - period.leased)
    threshold = budget.threshold if budget else period.threshold or 0.8
    share = spent / period.limit_amount if period.limit_amount else 1.0

    def amount(value: int) -> str:
        if period.unit == "nano_usd":
            return formats.usd_of_nano(value)
        return f"{formats.number(value)} {_UNITS.get(period.unit, period.unit)}"

    if share >= 1:
        state, text = "bad", "used up"
    elif period.unit == "nano_usd" and (period.alerted_at is not None or share >= threshold):
        state, text = "look", "near its limit"
    else:
        state, text = "good", "has room"
    label = f"{formats.percent(min(share, 1.0), 0)} spent, {amount(period.leased)} leased, {amount(left)} left"
    return Meter(
        name=meter_words(period.meter, budget),
        state=state,
        text=text,
        spent=amount(spent),
        leased=amount(period.leased),
        left=amount(left),
        limit=amount(period.limit_amount),
        estimated=amount(period.estimated) if period.estimated else None,
        written_off=amount(period.written_off) if period.written_off else None,
        bar=bar(spent, period.leased, period.limit_amount, label),
        ends=period.period_end,
        alerted_at=period.alerted_at,
        alert=_alert(period),
    )


def _unspent(budget: Budget) -> Meter:
    limit = formats.usd_of_nano(budget.limit_nano_usd)
    each = budget.period == "task"
    return Meter(
        name=meter_words(f"budget/{budget.budget_id}", budget),
        state="good",
        text="a limit of each request" if each else "nothing spent",
        spent="–" if each else formats.usd_of_nano(0),
        leased="–" if each else formats.usd_of_nano(0),
        left="–" if each else limit,
        limit=limit,
        estimated=None,
        written_off=None,
        bar=Markup() if each else bar(0, 0, max(1, budget.limit_nano_usd), "nothing is spent"),
        ends=budget.period_end,
        alerted_at=None,
        alert=None,
    )


def _alert(period: SpendPeriod) -> str | None:
    if period.alerted_at is None:
        return None
    at = "" if period.threshold is None else f" at {period.threshold:.0%}"
    if period.delivered_at is not None:
        return f"alert{at}: delivered to the webhook"
    if period.problem:
        return f"alert{at}: the webhook failed, {period.problem}"
    return f"alert{at}: not delivered, no webhook has taken it yet"
