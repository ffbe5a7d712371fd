"""The rules that detect changes of the versions of models, and ids that alternate. Pure: rows in, findings out."""

import shlex
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby
from typing import Final, NamedTuple

from centralcloud.contracts.errors import quote
from centralcloud.learning.model_versions import OF_FLEET, OF_INSTANCE
from centralcloud.runtime.wording import and_more, counted
from centralcloud.store.findings import Finding

MODEL_CHANGED: Final = "model_changed"
ALTERNATING_VERSIONS: Final = "alternating_versions"
#: Ids that a message shows.
_SHOWN_IDS: Final = 6


class RecentModelChange(NamedTuple):
    """The newest change of a model that its provider told within 24 hours: the columns of ``recent_model_changes.sql``."""

    model: str
    provider: str
    instance_id: str | None
    version_before: str
    version_after: str
    created_at: datetime


class AlternatingVersion(NamedTuple):
    """One of several ids that answers name for a model: the columns of ``alternating_versions.sql``.

    Attributes:
        instances: how many get it from this provider, all within 24 hours.
    """

    model: str
    provider: str
    version: str
    instances: int


def detect_model_changes(changes: Iterable[RecentModelChange]) -> Iterator[Finding]:
    """Yield a finding for each model whose provider has changed it within 24 hours."""
    for each in changes:
        told = (
            f"{OF_FLEET} outcomes of the fleet in a row"
            if each.instance_id is None
            else f"{OF_INSTANCE} outcomes of {each.instance_id} in a row"
        )
        yield Finding(
            MODEL_CHANGED,
            each.model,
            f"answers of {each.provider} for {each.model} name {quote(each.version_after)} in place of "
            f"{quote(each.version_before)} ({told}, noticed at {each.created_at:%Y-%m-%d %H:%M} UTC): the adaptive rule "
            f"learns it anew from there; `centralcloud models changed {shlex.quote(each.model)} --undo` takes that back",
            {
                "model": each.model,
                "provider": each.provider,
                "instance": each.instance_id,
                "version_before": each.version_before,
                "version_after": each.version_after,
            },
        )


def detect_alternating_versions(versions: Iterable[AlternatingVersion]) -> Iterator[Finding]:
    """Yield a finding for each model whose answers name ids that alternate; `versions` are by model."""
    for model, rows in groupby(versions, key=lambda each: each.model):
        found = list(rows)
        ids = sorted({each.version for each in found})
        if len(ids) < 2:
            continue
        shown = [f"{quote(each.version)} ({each.provider}, {counted(each.instances, 'instance')})" for each in found]
        listed = ", ".join(shown[:_SHOWN_IDS]) + (
            f", {and_more(len(shown) - _SHOWN_IDS)}" if len(shown) > _SHOWN_IDS else ""
        )
        yield Finding(
            ALTERNATING_VERSIONS,
            model,
            f"answers for {model} named several ids in the last 24 hours: {listed}; ids that alternate count as one "
            "version. Expected one id: give each endpoint that serves another version a name of its own, or wait until the "
            "provider has brought a new version to all of them",
            {"model": model, "versions": ids[:_SHOWN_IDS], "number": len(ids)},
        )
