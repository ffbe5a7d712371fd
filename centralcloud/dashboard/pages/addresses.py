"""The addresses of pages. Pure."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from centralcloud.dashboard.sources.findings import Finding

COMPLEXITIES: Final = ("simple", "medium", "complex")


def pair_url(model: str, complexity: str) -> str:
    """Return the address of a pair's page."""
    return f"/pair?{urlencode({'model': model, 'complexity': complexity})}"


def with_parameters(path: str, query: Mapping[str, str], **changed: str | None) -> str:
    """Return an address with the parameters of another one, of which some are changed; None leaves one out."""
    wanted = {name: value for name, value in {**query, **changed}.items() if value}
    return f"{path}?{urlencode(wanted)}" if wanted else path


def model_url(model: str) -> str:
    """Return the address of the scores of a model."""
    return f"/scores?{urlencode({'model': model})}"


def instance_url(instance_id: str) -> str:
    """Return the address of the fleet's page with one instance."""
    return f"/fleet?{urlencode({'instance': instance_id})}"


def incident_url(finding_id: int) -> str:
    """Return the address of a finding on the page of incidents."""
    return f"/incidents#finding-{finding_id}"


def finding_url(finding: Finding) -> str:
    """Return the address of the pair or instance that a finding is about, else of the finding."""
    about = finding.about
    if about.get("model") and about.get("complexity") in COMPLEXITIES:
        return pair_url(str(about["model"]), str(about["complexity"]))
    if finding.kind == "quarantined_instance":
        return instance_url(finding.subject)
    if about.get("instance"):
        return instance_url(str(about["instance"]))
    return incident_url(finding.finding_id)


def action_url(name: str, **subject: str) -> str:
    """Return the address of the page that asks an operator to confirm an action."""
    return f"/actions/{name}?{urlencode(subject)}" if subject else f"/actions/{name}"


def request_url(request_id: str) -> str:
    """Return the address of a request's page."""
    return f"/request/{quote(request_id, safe='')}"


def experiment_url(experiment_id: str) -> str:
    """Return the address of an experiment's page."""
    return f"/experiment/{quote(experiment_id, safe='')}"
