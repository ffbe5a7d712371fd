"""Whether a finding noticed a problem first, or an operator who acted before it was opened. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from centralcloud.dashboard.sources.activity import PastAction
from centralcloud.dashboard.sources.findings import Finding

#: An action this long before a finding may have been about the same problem.
_BEFORE: Final = timedelta(hours=1)
#: Actions on all scores, which may answer a finding about any pair.
_ON_ALL: Final = frozenset({"rollback", "freeze", "force_learning"})


class Noticed(NamedTuple):
    """How many findings came first, before how many an operator had acted, and on how many no operator acted at all."""

    finding: int
    operator: int
    alone: int

    @property
    def both(self) -> int:
        """Findings that an operator acted on, before or after."""
        return self.finding + self.operator


def who_noticed(findings: Iterable[Finding], actions: Sequence[PastAction], now: datetime) -> Noticed:
    """Return who noticed the problems of some findings first.

    An operator did, if an action on the same model, pair, instance or setting came within an hour before the finding was
    opened. A finding did, if the first such action came while it was open.
    """
    counts = {"finding": 0, "operator": 0, "alone": 0}
    for finding in findings:
        end = finding.closed_at or now
        related = [
            each.at for each in actions if finding.opened_at - _BEFORE <= each.at <= end and _concerns(each, finding)
        ]
        first = min(related, default=None)
        counts["alone" if first is None else "operator" if first < finding.opened_at else "finding"] += 1
    return Noticed(**counts)


def _concerns(action: PastAction, finding: Finding) -> bool:
    if action.action in _ON_ALL:
        return bool(finding.about.get("model")) or finding.kind == "publication_withheld"
    about = {str(value) for name, value in finding.about.items() if name in ("model", "provider", "instance", "budget")}
    subject = action.subject
    return subject == finding.subject or bool(about & {subject, subject.rpartition("/")[0], subject.partition("/")[2]})
