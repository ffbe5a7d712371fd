"""Words for what has a name in code. Pure."""

from typing import Final

_FINDINGS: Final = {
    "no_outcomes": "No outcomes reported",
    "unresolved": "Outcomes missing",
    "quarantined_instance": "Instance not believed",
    "publication_withheld": "Scores withheld",
    "provider_surge": "Provider fails",
    "newcomer": "New model",
    "slow": "Slow",
}


def finding_title(kind: str) -> str:
    """Return the title of a kind of finding: "Low success rate"."""
    return _FINDINGS.get(kind, kind.replace("_", " ").capitalize())


_KINDS: Final = {
    "step": "Step of the threshold rule",
    "steady": "More outcomes",
    "new": "Few outcomes yet",
    "alarm": "Sudden change",
    "latency": "Response time",
    "cost": "Cost",
    "quarantine": "Instances left out",
    "pin": "Pinned",
    "rollback": "Rolled back",
    "renamed": "Renamed",
    "reinstated": "Reinstated",
    "retired": "Retired",
}
#: The kinds of published changes, in the order of a list to choose from.
CHANGE_KINDS: Final = tuple(_KINDS)

_ERRORS: Final = {"": "No kind reported"}


def change_title(kind: str) -> str:
    """Return why a score was published: "Rolled back"."""
    return _KINDS.get(kind, kind.replace("_", " ").capitalize())


def error_title(kind: str) -> str:
    """Return the title of a kind of error: "Rate limit"."""
    return _ERRORS.get(kind, kind.replace("_", " ").capitalize())
