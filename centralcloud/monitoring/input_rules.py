"""The rules that detect values which were accepted and look wrong. Pure: rows in, findings out."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from centralcloud.ingest.batch import REPEATED_DECISION_ID
from centralcloud.monitoring.finding_rules import FindingThresholds, RecentOutcomes
from centralcloud.runtime.wording import apart, counted, decimals
from centralcloud.store.findings import Finding

REPEATED_IDS: Final = "repeated_decision_ids"
#: The kinds of findings that these rules make.
INPUT_FINDING_KINDS: Final = (
    "too_fast",
    "similar_names",
    "missing_cost",
    "unknown_error_kind",
    "values_ignored",
    REPEATED_IDS,
)

#: Share of the outcomes of a provider that carry a cost, from which on the fleet is one that sends costs.
_COST_SHARE: Final = 0.5
_ERROR_KIND: Final = "routing_decision.error_kind"


class IgnoredField(NamedTuple):
    """Messages of the newest 24 hours with an ignored value for a field: the columns of ``recent_ignored_values.sql``.

    Attributes:
        field: path of the field.
        example, instance_id: key and value of the newest one counted, and the instance that sent it.
    """

    field: str
    messages: int
    example: str
    instance_id: str


def detect_input_findings(
    recent: Iterable[RecentOutcomes], ignored: Iterable[IgnoredField], thresholds: FindingThresholds
) -> list[Finding]:
    """Return every finding about values that instances send which holds now."""
    recent = list(recent)
    return [
        *_too_fast(recent, thresholds),
        *_similar_names("model", lambda row: row.model, recent, thresholds),
        *_similar_names("provider", lambda row: row.provider, recent, thresholds),
        *_missing_costs(recent, thresholds),
        *_ignored_values(ignored, thresholds),
    ]


def _too_fast(recent: Iterable[RecentOutcomes], thresholds: FindingThresholds) -> Iterator[Finding]:
    least = thresholds.fast_response_ms
    for row in recent:
        timed = row.response_time_count
        if timed < thresholds.min_outcomes or row.response_time_sum_ms >= least * timed:
            continue
        average = row.response_time_sum_ms / timed
        found, expected = apart(average, least, text=decimals, digits=1)
        yield Finding(
            "too_fast",
            f"{row.model}/{row.complexity} of {row.provider}",
            f"{row.model} of {row.provider} took {found} ms on average for {row.complexity} tasks in the last 24 hours "
            f"({counted(timed, 'outcome')}): expected at least {expected} ms; are seconds sent as response_time_ms?",
            {
                "model": row.model,
                "complexity": row.complexity,
                "provider": row.provider,
                "avg_response_time": average,
                "outcomes": timed,
            },
        )


def _similar_names(
    noun: str, name_of: Callable[[RecentOutcomes], str], recent: Iterable[RecentOutcomes], thresholds: FindingThresholds
) -> Iterator[Finding]:
    """Yield a finding for each spelling of a name but the one with the most decisions."""
    spellings: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in recent:
        name = name_of(row)
        spellings[unicodedata.normalize("NFKC", name).casefold()][name] += row.decisions
    for decisions in spellings.values():
        usual, *others = sorted(decisions, key=lambda name: (-decisions[name], name))
        for name in others:
            if not 0 < thresholds.similar_name_decisions <= decisions[name]:
                continue
            yield Finding(
                "similar_names",
                f"{noun} {name}",
                f"the {noun} {name} ({counted(decisions[name], 'decision')} in the last 24 hours) differs from {usual} "
                f"({decisions[usual]:,}) by upper and lower case only: expected one spelling, as each learns on its own",
                {noun: name, "usual": usual, "decisions": decisions[name], "usual_decisions": decisions[usual]},
            )


def _missing_costs(recent: Iterable[RecentOutcomes], thresholds: FindingThresholds) -> Iterator[Finding]:
    """Yield the providers whose outcomes never carry a cost, in a fleet where those of another provider do."""
    outcomes: dict[str, int] = defaultdict(int)
    costs: dict[str, int] = defaultdict(int)
    for row in recent:
        outcomes[row.provider] += row.successes + row.failures
        costs[row.provider] += row.cost_count
    if not any(count and costs[provider] >= _COST_SHARE * count for provider, count in outcomes.items()):
        return
    for provider, count in outcomes.items():
        if costs[provider] == 0 and 0 < thresholds.missing_cost_outcomes <= count:
            yield Finding(
                "missing_cost",
                provider,
                f"none of {counted(count, 'outcome')} of provider {provider} in the last 24 hours carries a cost, those of "
                f"other providers do: expected cost_usd, 0 if it is free",
                {"provider": provider, "outcomes": count},
            )


def _ignored_values(ignored: Iterable[IgnoredField], thresholds: FindingThresholds) -> Iterator[Finding]:
    for each in ignored:
        if each.field == REPEATED_DECISION_ID:
            yield from _repeated_ids(each, thresholds)
            continue
        kind, least, expected = (
            ("unknown_error_kind", thresholds.unknown_error_kinds, _EXPECTED_KIND)
            if each.field == _ERROR_KIND
            else ("values_ignored", thresholds.ignored_values, "a value of the contract in its place")
        )
        if not 0 < least <= each.messages:
            continue
        yield Finding(
            kind,
            each.field,
            f"{counted(each.messages, 'message')} of the last 24 hours had a value for {each.field} that was ignored "
            f"({each.example}, from {each.instance_id}): expected {expected}",
            {
                "field": each.field,
                "messages": each.messages,
                "example": each.example,
                "example_instance": each.instance_id,
            },
        )


def _repeated_ids(each: IgnoredField, thresholds: FindingThresholds) -> Iterator[Finding]:
    if not 0 < thresholds.ignored_values <= each.messages:
        return
    yield Finding(
        REPEATED_IDS,
        each.field,
        f"at least {counted(each.messages, 'message')} of the last 24 hours had the decision_id of another event, and "
        f"{'was' if each.messages == 1 else 'were'} left out as a resend although time, model or outcome differ "
        f"({each.example}, from {each.instance_id}): expected an id of its own for each decision, also after a restart, and "
        "one outcome for each",
        {
            "field": each.field,
            "messages": each.messages,
            "example": each.example,
            "example_instance": each.instance_id,
        },
    )


_EXPECTED_KIND: Final = (
    "caller, policy, provider or timeout, or a word of the fleet setting words.error_kind; without a known kind, a failure "
    "counts against the model"
)
