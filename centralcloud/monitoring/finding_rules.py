"""What in the outcomes an operator should know of. Pure: rows in, findings out."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from centralcloud.contracts.limits import MAX_INT4
from centralcloud.store.findings import Finding

#: Kinds of findings that are found here.
FINDING_KINDS: Final = ("low_success_rate", "slow", "newcomer", "no_outcomes", "unresolved", "provider_surge")

#: Twice the log-likelihood ratio of two equal rates is chi-squared with one degree of freedom (Wilks 1938): chance makes it
#: exceed 10 in 8 of a million looks. A provider is looked at every minute, mostly at the same outcomes.
_SURGE_THRESHOLD: Final = 10.0
#: Outcomes that both stretches must have.
_SURGE_OUTCOMES: Final = 10


class FindingThresholds(BaseModel):
    """From where on something is worth a finding. Blameless failures (of kind caller or policy) count nowhere as failures.

    Attributes:
        success_rate: a pair with a lower one over the newest 24 hours (0 to 1) is found.
        slow_response_ms: as is one whose average response time is longer.
        min_outcomes: both only with so many outcomes, or reported times; `unresolved` with so many decisions.
        newcomer_outcomes: a model of which fewer have come in at all is new.
        no_outcomes_decisions: a pair chosen so often must have brought an outcome.
        unresolved_share: the most of a pair's decisions with ids that may have no outcome (0 to 1).
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


class NewestOutcomes(NamedTuple):
    """A pair and provider over the newest 24 hours: the columns of ``newest_outcomes.sql``. Times are in ms."""

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
    """A pair since ever: the columns of ``lifetime_outcomes.sql``. `linked`: of decisions with an id."""

    model: str
    complexity: str
    decisions: int
    outcomes: int
    blameless: int
    linked_decisions: int
    linked_outcomes: int


def detect_findings(
    newest: Iterable[NewestOutcomes], lifetime: Iterable[LifetimeOutcomes], limits: FindingThresholds
) -> list[Finding]:
    """Everything that holds now."""
    newest, lifetime = list(newest), list(lifetime)
    return [
        *_weak_pairs(newest, limits),
        *_surges(newest, limits),
        *_newcomers(lifetime, limits),
        *_unanswered(lifetime, limits),
    ]


def log_likelihood_ratio(successes: int, outcomes: int, other_successes: int, other_outcomes: int) -> float:
    """n1 kl(p1, p) + n2 kl(p2, p): how much better two success rates explain the outcomes than one. 0 or more."""
    return (
        _log_likelihood(successes, outcomes)
        + _log_likelihood(other_successes, other_outcomes)
        - _log_likelihood(successes + other_successes, outcomes + other_outcomes)
    )


def _weak_pairs(newest: Iterable[NewestOutcomes], limits: FindingThresholds) -> Iterator[Finding]:
    of_pair: dict[tuple[str, str], list[NewestOutcomes]] = defaultdict(list)
    for row in newest:
        of_pair[row.model, row.complexity].append(row)
    for (model, complexity), rows in of_pair.items():
        subject, pair = f"{model}/{complexity}", {"model": model, "complexity": complexity}
        successes = sum(row.successes for row in rows)
        outcomes = successes + sum(row.failures for row in rows)
        if outcomes >= limits.min_outcomes and successes < limits.success_rate * outcomes:
            yield Finding(
                "low_success_rate",
                subject,
                f"{successes:,} of {outcomes:,} outcomes of {model} for {complexity} tasks succeeded in the last 24 hours "
                f"({successes / outcomes:.1%}): expected at least {limits.success_rate:.1%}",
                {**pair, "successes": successes, "outcomes": outcomes, "success_rate": successes / outcomes},
            )
        timed = sum(row.response_time_count for row in rows)
        time_ms = sum(row.response_time_sum_ms for row in rows)
        if timed >= limits.min_outcomes and time_ms > limits.slow_response_ms * timed:
            yield Finding(
                "slow",
                subject,
                f"{model} took {time_ms / timed:,.0f} ms on average for {complexity} tasks in the last 24 hours "
                f"({timed:,} outcomes): expected at most {limits.slow_response_ms:,} ms",
                {**pair, "avg_response_time": time_ms / timed, "outcomes": timed},
            )


def _surges(newest: Iterable[NewestOutcomes], limits: FindingThresholds) -> Iterator[Finding]:
    of_provider: dict[str, list[NewestOutcomes]] = defaultdict(list)
    for row in newest:
        of_provider[row.provider].append(row)
    for provider, rows in of_provider.items():
        failures = sum(row.failures_last_hour for row in rows)
        outcomes = failures + sum(row.successes_last_hour for row in rows)
        failures_before = sum(row.failures for row in rows) - failures
        outcomes_before = sum(row.successes + row.failures for row in rows) - outcomes
        if min(outcomes, outcomes_before) < _SURGE_OUTCOMES:
            continue
        share, share_before = failures / outcomes, failures_before / outcomes_before
        ratio = log_likelihood_ratio(failures, outcomes, failures_before, outcomes_before)
        if share - share_before < limits.surge_rise or ratio <= _SURGE_THRESHOLD:
            continue
        yield Finding(
            "provider_surge",
            provider,
            f"{failures:,} of {outcomes:,} outcomes of provider {provider} failed in the last hour ({share:.1%}), "
            f"{failures_before:,} of {outcomes_before:,} in the 23 hours before ({share_before:.1%}; G {ratio:.0f}, over "
            f"{_SURGE_THRESHOLD:.0f}): expected a rise of less than {100 * limits.surge_rise:g} points",
            {
                "provider": provider,
                "failures": failures,
                "outcomes": outcomes,
                "failures_before": failures_before,
                "outcomes_before": outcomes_before,
                "log_likelihood_ratio": round(ratio, 2),
            },
        )


def _newcomers(lifetime: Iterable[LifetimeOutcomes], limits: FindingThresholds) -> Iterator[Finding]:
    outcomes: dict[str, int] = defaultdict(int)
    for row in lifetime:
        outcomes[row.model] += row.outcomes
    for model, count in outcomes.items():
        if count < limits.newcomer_outcomes:
            yield Finding(
                "newcomer",
                model,
                f"{count:,} outcomes of {model} have come in so far: its scores are known well from "
                f"{limits.newcomer_outcomes:,} on",
                {"model": model, "outcomes": count},
            )


def _unanswered(lifetime: Iterable[LifetimeOutcomes], limits: FindingThresholds) -> Iterator[Finding]:
    for row in lifetime:
        subject, pair = f"{row.model}/{row.complexity}", {"model": row.model, "complexity": row.complexity}
        if row.outcomes + row.blameless == 0:
            if row.decisions >= limits.no_outcomes_decisions:
                yield Finding(
                    "no_outcomes",
                    subject,
                    f"{row.model} was chosen for {row.decisions:,} {row.complexity} tasks, and no outcome has come in: "
                    f"expected one at least after {limits.no_outcomes_decisions:,}",
                    {**pair, "decisions": row.decisions},
                )
            continue
        unresolved = row.linked_decisions - row.linked_outcomes
        if row.linked_decisions >= limits.min_outcomes and unresolved > limits.unresolved_share * row.linked_decisions:
            share = unresolved / row.linked_decisions
            yield Finding(
                "unresolved",
                subject,
                f"of {unresolved:,} of {row.linked_decisions:,} decisions for {row.model} ({row.complexity}) no outcome has "
                f"come in ({share:.1%}): expected at most {limits.unresolved_share:.1%}",
                {**pair, "decisions": row.linked_decisions, "unresolved": unresolved, "unresolved_rate": share},
            )


def _log_likelihood(successes: int, outcomes: int) -> float:
    return _x_ln_x(successes) + _x_ln_x(outcomes - successes) - _x_ln_x(outcomes)


def _x_ln_x(x: int) -> float:
    return x * math.log(x) if x else 0.0
