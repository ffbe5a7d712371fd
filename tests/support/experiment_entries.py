"""Experiments in their JSON form, for tests."""

from typing import Any

from centralcloud.contracts.fleet_configuration import Experiment, parse_experiment

#: In the future: whenever a test runs, no daemon has left the experiment alone since then.
SINCE = "2126-11-20T12:00:00Z"


def an_experiment(*treatments: dict[str, Any], share: float = 0.5, **fields: Any) -> dict[str, Any]:
    """Return an experiment e1 that runs with a share of its sessions for each treatment; by default the model `new`."""
    stage = {"status": "running", "share": share, "since": SINCE, "began": SINCE, **fields.pop("stage", {})}
    return {
        "id": "e1",
        "name": "New against old",
        "kind": "canary" if len(treatments) < 2 else "ab",
        "treatments": list(treatments) or [{"name": "new", "model": "new"}],
        "salt": "salt",
        "plan": {"steps": [max(share, 0.01)]},
        "stage": stage,
        **fields,
    }


def parsed(*treatments: dict[str, Any], **fields: Any) -> Experiment:
    """Return such an experiment as the contract reads it."""
    return parse_experiment(an_experiment(*treatments, **fields))
