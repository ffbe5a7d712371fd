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
