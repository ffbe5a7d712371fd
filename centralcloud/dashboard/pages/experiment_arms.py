"""The arms of an experiment side by side: counts, times, what the treatment has cost. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from centralcloud.contracts.fleet_configuration import Experiment
from centralcloud.dashboard.web import formats
from centralcloud.experiments.comparison_state import COMPARISON
from centralcloud.experiments.statements import Facts, Price, price_of
from centralcloud.runtime.wording import counted

_ARMS: Final = ("control", "treatment")
#: A difference of requests a session from which a page speaks of it: rates by request would hide it.
_MORE_PER_SESSION: Final = 0.1
_LEAST_SESSIONS: Final = 100


class Line(NamedTuple):
    """A number of both arms, in words. `note`: what it means; empty: it is plain."""

    name: str
    control: str
    treatment: str
    note: str = ""


def arms_of(experiment: Experiment, facts: Facts) -> tuple[Line, ...]:
    """Return the numbers of both arms; none while no decision was folded."""
    comparison = facts.get(COMPARISON)
    if comparison is None or not sum(_count(comparison, arm, "requests") for arm in _ARMS):
        return ()
    return tuple(_lines(experiment, facts, comparison))


def cost_sentences(experiment: Experiment, facts: Facts, name: str) -> tuple[str, ...]:
    """Return what a treatment has cost in traffic, in sentences; none while nothing is known."""
    price = price_of(experiment, facts)
    return tuple(_cost(price, name)) if price is not None else ()


def caveats(facts: Facts, name: str) -> tuple[str, ...]:
    """Return what a reader of the numbers must know: what came late, minutes that were left out, longer sessions."""
    comparison = facts.get(COMPARISON)
    return tuple(_caveats(comparison, name)) if comparison is not None else ()


def _lines(experiment: Experiment, facts: Facts, comparison: Mapping[str, Any]) -> Iterator[Line]:
    def counts(name: str, key: str, note: str = "") -> Line:
        control, treatment = (formats.number(_count(comparison, arm, key)) for arm in _ARMS)
        return Line(name, control, treatment, note)

    def values(name: str, key: str, words: Any, note: str = "") -> Line:
        control, treatment = (words(_of(comparison, arm).get(key)) for arm in _ARMS)
        return Line(name, control, treatment, note)

    yield counts("Sessions", "sessions")
    yield counts("Requests", "requests")
    yield values("Requests of a session", "requests_per_session", lambda value: formats.number(value, 2))
    for title, metric in (("Success, first attempt", "success"), ("Success, all attempts", "request_success")):
        if metric in facts:
            control, treatment = (formats.percent(_of(facts[metric], arm).get("mean")) for arm in _ARMS)
            yield Line(title, control, treatment)
    yield values("Half of the requests take at most", "p50_ms", formats.milliseconds)
    yield values("95% of the requests take at most", "p95_ms", formats.milliseconds)
    if "cost" in facts and any(_of(facts["cost"], arm).get("mean") is not None for arm in _ARMS):
        cap = experiment.plan.cost_cap_usd
        control, treatment = (formats.usd(_times(_of(facts["cost"], arm).get("mean"), cap)) for arm in _ARMS)
        yield Line("Cost of a request", control, treatment, f"each up to {formats.usd(cap)}")
    yield counts("Aborted by the client", "aborts", "in no rate")
    yield counts("Without an outcome in time", "missing", "failures")
    if any(_count(comparison, arm, "feedback_cut") for arm in _ARMS):
        yield counts("Feedback awaited for longer", "feedback_cut", "failures")


def _cost(price: Price, name: str) -> Iterator[str]:
    served, extra = counted(price.outcomes, "request"), round(abs(price.extra_failures))
    if not extra:
        yield f"{served} of {name} count so far: about as many failed as at control."
    elif price.extra_failures > 0:
        yield f"{served} of {name} count so far: {price.failures:,} failed, about {extra:,} of them for it."
    else:
        yield f"{served} of {name} count so far: {price.failures:,} failed, about {extra:,} fewer than at control."
    if price.least is not None and price.most is not None:
        yield f"By the interval it is {_between(round(price.least), round(price.most))}."
    if price.extra_usd is not None and abs(price.extra_usd) >= 1e-6:
        words = formats.usd(abs(price.extra_usd))
        yield f"They cost about {words} {'more' if price.extra_usd > 0 else 'less'} than at control."


def _caveats(comparison: Mapping[str, Any], name: str) -> Iterator[str]:
    if comparison.get("sample_ratio_alarm"):
        yield "The sessions are not split as planned: nothing here can be trusted."
    for name_of, words in (
        ("returned", "of sessions that had ended before are left out: a session name counts once."),
        ("mismatched", "are left out: their session cannot have the arm or the share that they claim."),
    ):
        if count := sum(_count(comparison, arm, name_of) for arm in _ARMS):
            yield f"{counted(count, 'request')} {words}"
    late, bad = int(comparison.get("late_dropped") or 0), int(comparison.get("bad_minutes") or 0)
    if late:
        yield f"{counted(late, 'event')} came after {'its' if late == 1 else 'their'} time was counted, and count nowhere."
    if bad:
        yield f"{counted(bad, 'minute')} of the newest hours, in which an arm was out of order, count for no promotion."
    control, treatment = (_of(comparison, arm).get("requests_per_session") for arm in _ARMS)
    if control and treatment and all(_count(comparison, arm, "sessions") >= _LEAST_SESSIONS for arm in _ARMS):
        more = treatment / control - 1
        if abs(more) > _MORE_PER_SESSION:
            words = f"{100 * abs(more):.0f}% {'more' if more > 0 else 'fewer'}"
            yield f"Sessions of {name} have {words} requests than those of control: rates by request do not show that."


def _of(facts: Mapping[str, Any], arm: str) -> Mapping[str, Any]:
    found = facts.get(arm)
    return found if isinstance(found, Mapping) else {}


def _count(facts: Mapping[str, Any], arm: str, key: str) -> int:
    return int(_of(facts, arm).get(key) or 0)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _between(least: int, most: int) -> str:
    """Return a range of failures more than at control in words: "111 to 314 failures fewer"."""
    if most <= 0:
        return f"{-most:,} to {-least:,} failures fewer"
    if least >= 0:
        return f"{least:,} to {most:,} failures more"
    return f"between {-least:,} failures fewer and {most:,} more"
