"""The gateway: how requests end, targets and breakers, budgets, policies and rules, the newest requests."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from centralcloud.dashboard.pages.gateway_budgets import Meters, meters_of
from centralcloud.dashboard.pages.gateway_policies import configuration_of
from centralcloud.dashboard.pages.gateway_targets import Targets, models_of, targets_of
from centralcloud.dashboard.pages.gateway_traffic import FILTERS, Newest, day_traffic, hour_traffic, newest
from centralcloud.dashboard.reader.lookups import LookupFailedError
from centralcloud.dashboard.sources.budgets import BUDGETS, Budgets
from centralcloud.dashboard.sources.configuration import CONFIGURATION, POLICIES
from centralcloud.dashboard.sources.gateways import (
    ATTEMPTS,
    DAY,
    FILTERED_HOUR,
    FOUND_REQUESTS,
    FURTHER_EVENTS,
    GATEWAYS,
    HOUR,
    REQUESTS,
    SEARCHED_EVENTS,
    Gateway,
    NewRequest,
    RequestSum,
    Usage,
)
from centralcloud.dashboard.sources.targets import MODEL_HEALTH, REGISTERED, TARGETS
from centralcloud.dashboard.web import formats
from centralcloud.dashboard.web.page import Models, Page, PageContext
from centralcloud.runtime.wording import counted, listed

_SUMMED: Final = ("workspace", "policy", "task_type", "model")
_MOST_NAMES: Final = 3


class Heading(NamedTuple):
    """The answer in a sentence. `state`: good, look, bad or empty: no gateway has ever answered."""

    state: str
    headline: str
    text: str


async def build(context: PageContext) -> Models:
    """Build the page; without any gateway it is one card that says what a gateway is."""
    gateways, version = context.of(GATEWAYS), context.of(CONFIGURATION)
    if gateways is None or version is None:
        return dict.fromkeys(_FRAGMENTS)
    hour, day = await _hour(context), await _day(context)
    requests = await _requests(context)
    targets = targets_of(context.of(TARGETS) or (), context.of(ATTEMPTS) or ())
    meters = meters_of(context.of(BUDGETS) or Budgets((), ()))
    everything = context.of(HOUR) or ()
    answer = heading(gateways, targets, meters, everything, seen=bool(requests.rows or requests.is_filtered))
    if answer.state == "empty":
        return {**dict.fromkeys(_FRAGMENTS), "heading": answer}
    shows_day = context.query.get("period") == "day"
    registered = context.of(REGISTERED) or ()
    policies = context.of(POLICIES) or ()
    return {
        "heading": answer,
        "traffic": day_traffic(day, context.query) if shows_day else hour_traffic(hour, context.query),
        "targets": targets,
        "models": models_of(registered, context.of(MODEL_HEALTH) or ()),
        "budgets": meters,
        "policies": configuration_of(version, gateways, policies, registered, day, everything, context.query),
        "requests": requests,
    }


def heading(
    gateways: Sequence[Gateway], targets: Targets, meters: Meters, hour: Sequence[RequestSum], *, seen: bool
) -> Heading:
    """Return the answer: "3 gateways answer 42 requests a second; 1 provider is failing over".

    Args:
        hour: the requests of the last hour.
        seen: whether any request was ever seen.
    """
    total = next((each for each in hour if each.dimension == "all"), None)
    if not gateways and not seen and (total is None or not total.requests):
        return Heading("empty", "No gateway has answered a request yet", "")
    trouble = []
    opened = [each for each in targets.rows if each.is_open]
    if opened:
        names = [each.model or f"every model at {each.provider}" for each in opened]
        trouble.append(f"{listed(names, _MOST_NAMES)} {'is' if len(opened) == 1 else 'are'} failing over")
    if meters.full:
        trouble.append(f"{counted(meters.full, 'budget')} {'is' if meters.full == 1 else 'are'} used up")
    if not gateways:
        headline = "No gateway has answered within five minutes"
        return Heading("look", _with(headline, trouble), _ended(total))
    rate = sum(each.requests / each.seconds for each in gateways)
    verb = "answers" if len(gateways) == 1 else "answer"
    headline = f"{counted(len(gateways), 'gateway')} {verb} {_rate(rate)}"
    broken = bool(total and total.failed > total.at_once + total.failed_over)
    state = "bad" if broken else "look" if trouble else "good"
    return Heading(state, _with(headline, trouble), _ended(total))


async def _hour(context: PageContext) -> tuple[RequestSum, ...] | None:
    given = [context.query.get(name) for name in _SUMMED]
    if not any(given):
        return context.of(HOUR)
    try:
        return await context.lookup(FILTERED_HOUR, *given)
    except LookupFailedError:
        return None


async def _day(context: PageContext) -> Usage | None:
    shows_day = context.query.get("period") == "day"
    given = [context.query.get(name) if shows_day else None for name in _SUMMED]
    try:
        return await context.lookup(DAY, *given)
    except LookupFailedError:
        return None


async def _requests(context: PageContext) -> Newest:
    query = context.query
    further = query.get("search") == "further"
    most = FURTHER_EVENTS if further else SEARCHED_EVENTS
    is_filtered = any(query.get(name) for name in FILTERS)
    found: tuple[NewRequest, ...] | None
    if not is_filtered:
        found = context.of(REQUESTS)
    else:
        names = ("model", "policy", "workspace", "task_type", "outcome", "error_kind")
        try:
            found = await context.lookup(FOUND_REQUESTS, most, *(query.get(name) for name in names))
        except LookupFailedError:
            found = None
    return newest(found, query, most=most, further=further, is_filtered=is_filtered)


def _rate(rate: float) -> str:
    """Return requests a second, or a minute where there are few."""
    if rate >= 1:
        return f"{formats.number(rate, 1 if rate < 10 else 0)} requests a second"
    per_minute = 60 * rate
    if per_minute >= 1:
        return counted(round(per_minute), "request") + " a minute"
    return counted(round(300 * rate), "request") + " in five minutes"


def _with(headline: str, trouble: Sequence[str]) -> str:
    return f"{headline}; {'; '.join(trouble)}" if trouble else headline


def _ended(total: RequestSum | None) -> str:
    if total is None or not total.requests:
        return "No request within the last hour."
    ended = total.at_once + total.failed_over + total.failed + total.blameless
    answered = total.at_once + total.failed_over
    text = f"{formats.percent(answered / ended if ended else None)} of the requests of the last hour succeed"
    if total.failed_over:
        text += f", {counted(total.failed_over, 'request')} after a failure"
    return f"{text}."


_FRAGMENTS: Final = ("heading", "traffic", "targets", "models", "budgets", "policies", "requests")

PAGE: Final = Page(
    path="/gateway",
    name="gateway",
    title="Gateway",
    sources=(
        GATEWAYS,
        HOUR,
        ATTEMPTS,
        REQUESTS,
        TARGETS,
        MODEL_HEALTH,
        REGISTERED,
        BUDGETS,
        POLICIES,
        CONFIGURATION,
    ),
    build=build,
    parameters=("period", "by", *FILTERS, "search"),
)
