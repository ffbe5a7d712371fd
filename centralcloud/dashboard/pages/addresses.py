"""The addresses of pages. Pure."""

from typing import Final
from urllib.parse import quote, urlencode

from centralcloud.dashboard.sources.findings import Finding

COMPLEXITIES: Final = ("simple", "medium", "complex")


def pair_url(model: str, complexity: str) -> str:
    """Return the address of a pair's page."""
    return f"/pair?{urlencode({'model': model, 'complexity': complexity})}"


def instance_url(instance_id: str) -> str:
    """Return the address of the fleet's page with one instance."""
    return f"/fleet?{urlencode({'instance': instance_id})}"


def finding_url(finding: Finding) -> str:
    """Return the address of the pair or instance that a finding is about, else of the finding."""
    about = finding.about
    if about.get("model") and about.get("complexity") in COMPLEXITIES:
        return pair_url(str(about["model"]), str(about["complexity"]))
    if finding.kind == "quarantined_instance":
        return instance_url(finding.subject)
    if about.get("instance"):
        return instance_url(str(about["instance"]))
    return f"/incidents#finding-{finding.finding_id}"


def request_url(request_id: str) -> str:
    """Return the address of a request's page."""
    return f"/request/{quote(request_id, safe='')}"
