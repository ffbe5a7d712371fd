"""The rules that detect findings in outcomes. Pure: rows in, findings out."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from centralcloud.contracts.limits import MAX_INT4
from centralcloud.runtime.wording import counted, percent
from centralcloud.store.findings import Finding

#: The kinds of findings that these rules make.
FINDING_KINDS: Final = ("low_success_rate", "slow", "newcomer", "no_outcomes", "unresolved", "provider_surge")

#: Twice the log-likelihood ratio of two equal rates is chi-squared with one degree of freedom (Wilks 1938): chance makes it
#: exceed 10 in 8 of a million checks. A provider is checked every minute, mostly on the same outcomes.
_SURGE_THRESHOLD: Final = 10.0
#: Outcomes that the newest hour and the 23 hours before must both have.
_SURGE_OUTCOMES: Final = 10


class FindingThresholds(BaseModel):
    """The thresholds of the rules. Blameless failures (of kind caller or policy) never count as failures.

    Attributes:
        success_rate: a pair with a lower success rate over the newest 24 hours (0 to 1) is a finding.
        slow_response_ms: a pair with a longer average response time over the newest 24 hours is a finding.
        min_outcomes: both need at least so many outcomes, or reported times; `unresolved` needs so many decisions.
        newcomer_outcomes: a model with fewer outcomes in its lifetime is new.
        no_outcomes_decisions: a pair with so many decisions must have an outcome.
        unresolved_share: the largest share of a pair's decisions with ids that may have no outcome (0 to 1).
        surge_rise: a provider's share of failures in the newest hour must exceed that of the 23 hours before by so much
            (0 to 1), and by more than chance explains.
    """

    model_config = ConfigDict(frozen=True)

    success_rate: float = Field(default=0.85, ge=0, le=1)
    slow_response_ms: int = Field(default=5000, ge=1, le=MAX_INT4)
    min_outcomes: int = Field(default=30, ge=1, le=1_000_000)
    newcomer_outcomes: int = Field(default=100, ge=0, le=1_000_000)
    no_outcomes_decisions: int = Field(default=20, ge=1, le=1_000_000)
    unresolved_share: float = Field(default=0.2, ge=0, le=1)
    surge_rise: float = Field(default=0.1, ge=0, le=1)


class RecentOutcomes(NamedTuple):
    """A pair and provider over the newest 24 hours: the columns of ``recent_pair_outcomes.sql``. Times are in ms."""

    model: str
    complexity: str
    provider: str
    successes: int
    failures: int
    response_time_count: int
    response_time_sum_ms: int
    successes_last_hour: int
    failures_last_hour: int


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


def _weak_pairs(recent: Iterable[RecentOutcomes], thresholds: FindingThresholds) -> Iterator[Finding]:
    by_pair: dict[tuple[str, str], list[RecentOutcomes]] = defaultdict(list)
    for row in recent:
        by_pair[row.model, row.complexity].append(row)
    for (model, complexity), rows in by_pair.items():
        subject, pair = f"{model}/{complexity}", {"model": model, "complexity": complexity}
        successes = sum(row.successes for row in rows)
        outcomes = successes + sum(row.failures for row in rows)
        if outcomes >= thresholds.min_outcomes and successes < thresholds.success_rate * outcomes:
            yield Finding(
                "low_success_rate",
                subject,
                f"{successes:,} of {counted(outcomes, 'outcome')} of {model} for {complexity} tasks succeeded in the last "
                f"24 hours ({percent(successes / outcomes)}): expected at least {percent(thresholds.success_rate)}",
                {**pair, "successes": successes, "outcomes": outcomes, "success_rate": successes / outcomes},
            )
        timed = sum(row.response_time_count for row in rows)
        time_ms = sum(row.response_time_sum_ms for row in rows)
        if timed >= thresholds.min_outcomes and time_ms > thresholds.slow_response_ms * timed:
            yield Finding(
                "slow",
                subject,
                f"{model} took {time_ms / timed:,.0f} ms on average for {complexity} tasks in the last 24 hours "
                f"({counted(timed, 'outcome')}): expected at most {thresholds.slow_response_ms:,} ms",
                {**pair, "avg_response_time": time_ms / timed, "outcomes": timed},
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
        share, share_before = failures / outcomes, failures_before / outcomes_before
        ratio = log_likelihood_ratio(failures, outcomes, failures_before, outcomes_before)
        if share - share_before < thresholds.surge_rise or ratio <= _SURGE_THRESHOLD:
            continue
        yield Finding(
            "provider_surge",
            provider,
            f"{failures:,} of {outcomes:,} outcomes of provider {provider} failed in the last hour ({percent(share)}), "
            f"{failures_before:,} of {outcomes_before:,} in the 23 hours before ({percent(share_before)}): expected a rise "
            f"of less than {100 * thresholds.surge_rise:g} percentage points "
            f"(log-likelihood ratio {ratio:.0f}; chance explains up to {_SURGE_THRESHOLD:.0f})",
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
        if (
            row.linked_decisions >= thresholds.min_outcomes
            and unresolved > thresholds.unresolved_share * row.linked_decisions
        ):
            share = unresolved / row.linked_decisions
            yield Finding(
                "unresolved",
                subject,
                f"{unresolved:,} of {counted(row.linked_decisions, 'decision')} for {row.model} ({row.complexity}) have no "
                f"outcome ({percent(share)}): expected at most {percent(thresholds.unresolved_share)}",
                {**pair, "decisions": row.linked_decisions, "unresolved": unresolved, "unresolved_rate": share},
            )


def _log_likelihood(successes: int, outcomes: int) -> float:
    return _x_ln_x(successes) + _x_ln_x(outcomes - successes) - _x_ln_x(outcomes)


def _x_ln_x(x: int) -> float:
    return x * math.log(x) if x else 0.0
