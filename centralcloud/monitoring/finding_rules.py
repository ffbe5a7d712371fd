"""The rules that detect findings in outcomes. Pure: rows in, findings out."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from centralcloud.contracts.limits import MAX_INT4
from centralcloud.runtime.wording import apart, counted, decimals
from centralcloud.store.findings import Finding

#: The kinds of findings that these rules make.
FINDING_KINDS: Final = ("low_success_rate", "slow", "newcomer", "no_outcomes", "unresolved", "provider_surge")

#: Twice the log-likelihood ratio of two equal rates is chi-squared with one degree of freedom (Wilks 1938): chance makes it
#: exceed 10 in 8 of a million checks. A provider is checked every minute, mostly on the same outcomes.
_SURGE_THRESHOLD: Final = 10.0
#: Outcomes that the newest hour and the 23 hours before must both have.
_SURGE_OUTCOMES: Final = 10
#: Decisions of a complexity that make a share of 1% at least one decision.
_SHARE_DECISIONS: Final = 100


class FindingThresholds(BaseModel):
    """The thresholds of the rules. Blameless failures (of kind caller or policy) never count as failures.

    Attributes:
        success_rate: a pair with a lower success rate over the newest 24 hours (0 to 1) is a finding.
        slow_response_ms: a pair with a longer average response time over the newest 24 hours is a finding.
        min_outcomes: both need at least so many outcomes, or reported times; `unresolved` needs so many decisions.
        newcomer_outcomes: a model with fewer outcomes in its lifetime is new.
        no_outcomes_decisions: a pair with so many decisions must have an outcome.
        unresolved_share: the largest share of a pair's decisions with ids that may have no outcome (0 to 1).
        traffic_share: the fleet has left a pair with a smaller share of its complexity's decisions (0 to 1). It is a finding
            of the first two only if no other model of that complexity is good enough. 0: every pair is judged. The default
            is twice the share with which the adaptive rule re-checks a model at most.
        surge_rise: a provider's share of failures in the newest hour must exceed that of the 23 hours before by so much
            (0 to 1), and by more than chance explains.
        fast_response_ms: a pair and provider with a shorter average response time over the newest 24 hours is a finding,
            from `min_outcomes` reported times on. 0: none is.
        similar_name_decisions: a model or provider with so many decisions in 24 hours whose name differs from another one by
            case only is a finding. 0: none is.
        missing_cost_outcomes: a provider with so many outcomes in 24 hours of which none carries a cost, while those of
            another provider do, is a finding. 0: none is.
        unknown_error_kinds: so many messages in 24 hours with an unknown `error_kind` are a finding. 0: they are not.
        ignored_values: so many messages in 24 hours with an ignored value for another field are a finding. 0: they are not.
    """

    model_config = ConfigDict(frozen=True)

    success_rate: float = Field(default=0.85, ge=0, le=1)
    slow_response_ms: int = Field(default=5000, ge=1, le=MAX_INT4)
    min_outcomes: int = Field(default=30, ge=1, le=1_000_000)
    newcomer_outcomes: int = Field(default=100, ge=0, le=1_000_000)
    no_outcomes_decisions: int = Field(default=20, ge=1, le=1_000_000)
    unresolved_share: float = Field(default=0.2, ge=0, le=1)
    surge_rise: float = Field(default=0.1, ge=0, le=1)
    traffic_share: float = Field(default=0.02, ge=0, le=1)
    fast_response_ms: int = Field(default=20, ge=0, le=MAX_INT4)
    similar_name_decisions: int = Field(default=10, ge=0, le=1_000_000)
    missing_cost_outcomes: int = Field(default=100, ge=0, le=1_000_000)
    unknown_error_kinds: int = Field(default=10, ge=0, le=1_000_000)
    ignored_values: int = Field(default=10, ge=0, le=1_000_000)


class RecentOutcomes(NamedTuple):
    """A pair and provider over the newest 24 hours: the columns of ``recent_pair_outcomes.sql``. Times are in ms.

    `cost_count` is how many of the successes and failures carry a cost.
    """

    model: str
    complexity: str
    provider: str
    decisions: int
    decisions_last_hour: int
    successes: int
    failures: int
    response_time_count: int
    response_time_sum_ms: int
    successes_last_hour: int
    failures_last_hour: int
    cost_count: int = 0


class LifetimeOutcomes(NamedTuple):
    """A pair over its lifetime: the columns of ``lifetime_outcomes.sql``. Linked decisions are those with an id."""

    model: str
    complexity: str
    decisions: int
    outcomes: int
    blameless: int
    linked_decisions: int
    linked_outcomes: int


def detect_findings(
    recent: Iterable[RecentOutcomes], lifetime: Iterable[LifetimeOutcomes], thresholds: FindingThresholds
) -> list[Finding]:
    """Return every finding that holds now."""
    recent, lifetime = list(recent), list(lifetime)
    return [
        *_weak_pairs(recent, thresholds),
        *_provider_surges(recent, thresholds),
        *_newcomers(lifetime, thresholds),
        *_pairs_without_outcomes(lifetime, thresholds),
    ]


def log_likelihood_ratio(successes: int, outcomes: int, other_successes: int, other_outcomes: int) -> float:
    """Return how much better two success rates explain the outcomes than one: n1 kl(p1, p) + n2 kl(p2, p), 0 or more."""
    return (
        _log_likelihood(successes, outcomes)
        + _log_likelihood(other_successes, other_outcomes)
        - _log_likelihood(successes + other_successes, outcomes + other_outcomes)
    )


class _Day(NamedTuple):
    """A pair over the newest 24 hours, all providers together. Times are in ms."""

    decisions: int
    decisions_last_hour: int
    successes: int
    outcomes: int
    timed: int
    time_ms: int


def _weak_pairs(recent: Iterable[RecentOutcomes], thresholds: FindingThresholds) -> Iterator[Finding]:
    by_complexity: dict[str, dict[str, list[RecentOutcomes]]] = defaultdict(lambda: defaultdict(list))
    for row in recent:
        by_complexity[row.complexity][row.model].append(row)
    for complexity, by_model in by_complexity.items():
        days = {model: _day(rows) for model, rows in by_model.items()}
        left = _left_models(days, thresholds)
        for found in (_low_success_rates, _slow_models):
            findings = {each.details["model"]: each for each in found(complexity, days, thresholds)}
            enough = {model for model, day in days.items() if day.outcomes >= thresholds.min_outcomes}
            alternatives = enough - findings.keys() - left
            yield from (each for model, each in findings.items() if model not in left or not alternatives)


def _day(rows: Sequence[RecentOutcomes]) -> _Day:
    return _Day(
        decisions=sum(row.decisions for row in rows),
        decisions_last_hour=sum(row.decisions_last_hour for row in rows),
        successes=sum(row.successes for row in rows),
        outcomes=sum(row.successes + row.failures for row in rows),
        timed=sum(row.response_time_count for row in rows),
        time_ms=sum(row.response_time_sum_ms for row in rows),
    )


def _left_models(days: Mapping[str, _Day], thresholds: FindingThresholds) -> set[str]:
    """Return the models that hardly any decision of a complexity chooses: in an hour, or in a day if it had too few."""
    for decisions in (
        {model: day.decisions_last_hour for model, day in days.items()},
        {model: day.decisions for model, day in days.items()},
    ):
        total = sum(decisions.values())
        if total >= _SHARE_DECISIONS:
            return {model for model, count in decisions.items() if count < thresholds.traffic_share * total}
    return set()


def _low_success_rates(complexity: str, days: Mapping[str, _Day], thresholds: FindingThresholds) -> Iterator[Finding]:
    expected = _exact(thresholds.success_rate)
    for model, day in days.items():
        if day.outcomes < thresholds.min_outcomes or day.successes >= expected * day.outcomes:
            continue
        found, least = apart(Decimal(day.successes) / day.outcomes, expected)
        outcomes = counted(day.outcomes, "outcome")
        yield Finding(
            "low_success_rate",
            f"{model}/{complexity}",
            f"{day.successes:,} of {outcomes} of {model} for {complexity} tasks succeeded in the last 24 hours ({found}): "
            f"expected at least {least}",
            {
                "model": model,
                "complexity": complexity,
                "successes": day.successes,
                "outcomes": day.outcomes,
                "success_rate": day.successes / day.outcomes,
            },
        )


def _slow_models(complexity: str, days: Mapping[str, _Day], thresholds: FindingThresholds) -> Iterator[Finding]:
    for model, day in days.items():
        if day.timed < thresholds.min_outcomes or day.time_ms <= thresholds.slow_response_ms * day.timed:
            continue
        average = day.time_ms / day.timed
        found, most = apart(average, thresholds.slow_response_ms, text=decimals, digits=0)
        yield Finding(
            "slow",
            f"{model}/{complexity}",
            f"{model} took {found} ms on average for {complexity} tasks in the last 24 hours "
            f"({counted(day.timed, 'outcome')}): expected at most {most} ms",
            {"model": model, "complexity": complexity, "avg_response_time": average, "outcomes": day.timed},
        )


def _provider_surges(recent: Iterable[RecentOutcomes], thresholds: FindingThresholds) -> Iterator[Finding]:
    by_provider: dict[str, list[RecentOutcomes]] = defaultdict(list)
    for row in recent:
        by_provider[row.provider].append(row)
    for provider, rows in by_provider.items():
        failures = sum(row.failures_last_hour for row in rows)
        outcomes = failures + sum(row.successes_last_hour for row in rows)
        failures_before = sum(row.failures for row in rows) - failures
        outcomes_before = sum(row.successes + row.failures for row in rows) - outcomes
        if min(outcomes, outcomes_before) < _SURGE_OUTCOMES:
            continue
        share, share_before = Decimal(failures) / outcomes, Decimal(failures_before) / outcomes_before
        ratio = log_likelihood_ratio(failures, outcomes, failures_before, outcomes_before)
        if share - share_before < _exact(thresholds.surge_rise) or ratio <= _SURGE_THRESHOLD:
            continue
        now, before = apart(share, share_before)
        found, chance = apart(ratio, _SURGE_THRESHOLD, text=decimals, digits=0)
        yield Finding(
            "provider_surge",
            provider,
            f"{failures:,} of {outcomes:,} outcomes of provider {provider} failed in the last hour ({now}), "
            f"{failures_before:,} of {outcomes_before:,} in the 23 hours before ({before}): expected a rise "
            f"of less than {100 * thresholds.surge_rise:g} percentage points "
            f"(log-likelihood ratio {found}; chance explains up to {chance})",
            {
                "provider": provider,
                "failures": failures,
                "outcomes": outcomes,
                "failures_before": failures_before,
                "outcomes_before": outcomes_before,
                "log_likelihood_ratio": round(ratio, 2),
            },
        )


def _newcomers(lifetime: Iterable[LifetimeOutcomes], thresholds: FindingThresholds) -> Iterator[Finding]:
    outcomes: dict[str, int] = defaultdict(int)
    for row in lifetime:
        outcomes[row.model] += row.outcomes
    for model, count in outcomes.items():
        if count < thresholds.newcomer_outcomes:
            yield Finding(
                "newcomer",
                model,
                f"{model} has {counted(count, 'outcome')} so far: its scores are reliable from "
                f"{thresholds.newcomer_outcomes:,} on",
                {"model": model, "outcomes": count},
            )


def _pairs_without_outcomes(lifetime: Iterable[LifetimeOutcomes], thresholds: FindingThresholds) -> Iterator[Finding]:
    for row in lifetime:
        subject, pair = f"{row.model}/{row.complexity}", {"model": row.model, "complexity": row.complexity}
        if row.outcomes + row.blameless == 0:
            if row.decisions >= thresholds.no_outcomes_decisions:
                yield Finding(
                    "no_outcomes",
                    subject,
                    f"{row.model} was chosen for {counted(row.decisions, f'{row.complexity} task')}, and no outcome was "
                    f"received: expected at least one after {thresholds.no_outcomes_decisions:,}",
                    {**pair, "decisions": row.decisions},
                )
            continue
        unresolved = row.linked_decisions - row.linked_outcomes
        most = _exact(thresholds.unresolved_share)
        if row.linked_decisions >= thresholds.min_outcomes and unresolved > most * row.linked_decisions:
            found, expected = apart(Decimal(unresolved) / row.linked_decisions, most)
            yield Finding(
                "unresolved",
                subject,
                f"{unresolved:,} of {counted(row.linked_decisions, 'decision')} for {row.model} ({row.complexity}) have no "
                f"outcome ({found}): expected at most {expected}",
                {
                    **pair,
                    "decisions": row.linked_decisions,
                    "unresolved": unresolved,
                    "unresolved_rate": unresolved / row.linked_decisions,
                },
            )


def _exact(share: float) -> Decimal:
    """Return the decimal number that a setting shows: as doubles, 0.07 x 100 is more than 7."""
    return Decimal(str(share))


def _log_likelihood(successes: int, outcomes: int) -> float:
    return _x_ln_x(successes) + _x_ln_x(outcomes - successes) - _x_ln_x(outcomes)


def _x_ln_x(x: int) -> float:
    return x * math.log(x) if x else 0.0
