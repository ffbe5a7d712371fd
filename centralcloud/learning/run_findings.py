"""The findings of a run of the learner: changes, quarantined instances, and scores that were not published."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import psycopg

from centralcloud.learning.rule import OpenChange, Quarantine, RuleResult
from centralcloud.runtime.wording import apart, counted, decimals
from centralcloud.store.findings import Finding, replace_findings

#: Kinds of findings that a run opens and closes.
FINDING_KINDS: Final = ("change_alarm", "quarantined_instance", "publication_withheld")


def report_findings(
    connection: psycopg.Connection[Any],
    result: RuleResult,
    excluded: Sequence[Quarantine],
    withheld: Mapping[str, Sequence[str]],
) -> None:
    """Make the findings of the newest run the open ones.

    Args:
        result, excluded: the result of the active rule, and the instances that it excluded.
        withheld: by rule, the reasons why its scores were not published or stored; empty if they were.
    """
    findings = (
        *map(_change_finding, result.open_changes),
        *map(_quarantine_finding, excluded),
        *_withheld_findings(withheld),
    )
    replace_findings(connection, FINDING_KINDS, findings)


def _change_finding(change: OpenChange) -> Finding:
    direction = "fell" if change.fell else "rose"
    before, after = apart(change.before, change.after, text=decimals, digits=2)
    message = (
        f"the success rate of {change.model} for {change.complexity} tasks {direction} from {before} to {after} "
        f"({_evidence_of(change)}); it is {change.mean:.2f} now"
    )
    details = {
        "model": change.model,
        "complexity": change.complexity,
        "before": change.before,
        "after": change.after,
    }
    return Finding("change_alarm", f"{change.model}/{change.complexity}", message, details)


def _evidence_of(change: OpenChange) -> str:
    """Return how much better two rates explain the outcomes than one; several pairs of a model may show it together only."""
    if change.statistic <= change.threshold:
        ratio = decimals(change.statistic, 1)
        return f"log-likelihood ratio {ratio}; with the other tasks of the model more than chance explains"
    statistic, threshold = apart(change.statistic, change.threshold, text=decimals, digits=0)
    return f"log-likelihood ratio {statistic}; chance explains up to {threshold}"


def _quarantine_finding(instance: Quarantine) -> Finding:
    message = (
        f"the outcomes of {instance.instance_id} differ from the fleet's on {counted(instance.pairs, 'pair')} "
        f"(log-likelihood {instance.excess:.0f} more than chance explains): not counted while they do"
    )
    details = {"instance": instance.instance_id, "excess": round(instance.excess, 1), "pairs": instance.pairs}
    return Finding("quarantined_instance", instance.instance_id, message, details)


def _withheld_findings(withheld: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    for rule, reasons in withheld.items():
        if reasons:
            yield Finding("publication_withheld", rule, "; ".join(reasons), {"reasons": list(reasons)})
