"""The fleet: which router is stale or not believed, whether the daemon ingests, and what was lost on the way."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from centralcloud.dashboard.pages.fleet_instances import Rows, details, listing
from centralcloud.dashboard.pages.fleet_work import dead_letters, lost, queue, workers
from centralcloud.dashboard.pages.words import State
from centralcloud.dashboard.sources.findings import OPEN_FINDINGS
from centralcloud.dashboard.sources.fleet import FLEET, FleetState
from centralcloud.dashboard.sources.instances import (
    INSTANCE_MODELS,
    INSTANCES,
    LATE_AND_LOST,
    LEASES,
    LETTERS,
    SENDERS,
    WORKERS,
    Instance,
    Worker,
)
from centralcloud.dashboard.sources.minutes import MINUTES
from centralcloud.dashboard.sources.queue import QUEUE
from centralcloud.dashboard.web.page import Models, Page, PageContext
from centralcloud.runtime.wording import counted

_PATH: Final = "/fleet"


class Headline(NamedTuple):
    """The answer of the page."""

    state: State
    title: str
    text: str


async def build(context: PageContext) -> Models:
    """Build the page."""
    fleet, instances = context.of(FLEET), context.of(INSTANCES)
    if fleet is None or instances is None:
        return dict.fromkeys(("headline", "instance", "instances", "queue", "dead-letters", "workers", "lost"))
    models, senders = context.of(INSTANCE_MODELS) or (), context.of(SENDERS) or ()
    findings = context.of(OPEN_FINDINGS) or ()
    wanted = context.query.get("instance", "").strip()
    rows = Rows(instances, models, senders)
    return {
        "headline": headline(fleet, instances, context.of(WORKERS) or ()),
        "instance": details(wanted, instances, rows, findings, newest_version(fleet, instances)),
        "instances": listing(instances, rows, context.query),
        "queue": queue(context.of(QUEUE), context.of(MINUTES) or (), fleet.workers),
        "dead-letters": dead_letters(context.of(LETTERS) if fleet.ingested else context.of(LETTERS) or None),
        "workers": workers(context.of(WORKERS), context.of(LEASES) or (), findings),
        "lost": lost(context.of(LATE_AND_LOST) or None),
    }


def newest_version(fleet: FleetState, instances: Sequence[Instance]) -> int:
    """Return the newest version at the time when the instances were read, so that it fits their lags."""
    return max((each.applied_version + each.versions_behind for each in instances), default=fleet.version)


def headline(fleet: FleetState, instances: Sequence[Instance], workers: Sequence[Worker]) -> Headline:
    """Return the answer of the page: the worst thing about the fleet, in one sentence.

    It counts the instances of the list below it, and not those of `fleet`, which is read more often.
    """
    late = sum(each.is_running for each in workers) and all(each.is_late for each in workers if each.is_running)
    behind = [each for each in instances if each.is_behind]
    quarantined = sum(each.quarantine is not None for each in instances)
    silent = sum(each.is_silent for each in instances)
    known = counted(len(instances), "instance")
    ingest = "" if fleet.workers else " No daemon is running that ingests."
    if not instances:
        text = f"A router, a sidecar or a gateway appears here when it has read the scores for the first time.{ingest}"
        return Headline("neutral" if fleet.workers else "bad", "No instance is registered", text)
    state: State = "bad" if not fleet.workers or quarantined else "look" if late or behind or silent else "good"
    if not fleet.workers:
        title = "No daemon is running that ingests"
        ingest = ""
    elif late:
        title = "The daemon that ingests has missed a heartbeat"
    elif behind:
        be = "is" if len(behind) == 1 else "are"
        title = f"{len(behind):,} of {known} {be} behind the newest scores"
    elif silent:
        title = f"{silent:,} of {known} {'is' if silent == 1 else 'are'} silent"
    else:
        title = f"{'The instance is' if len(instances) == 1 else f'All {known} are'} up to date"
    version = newest_version(fleet, instances)
    parts = [f"The newest version is {version:,}." if version else "No score was published yet."]
    if quarantined:
        parts.append(f"The outcomes of {quarantined:,} are not believed.")
    if behind:
        furthest = max(behind, key=lambda each: (each.versions_behind, each.instance_id))
        parts.append(f"{furthest.instance_id} is {counted(furthest.versions_behind, 'version')} behind.")
    return Headline(state, title, " ".join(parts) + ingest)


PAGE: Final = Page(
    path=_PATH,
    name="fleet",
    title="Fleet",
    sources=(
        FLEET, INSTANCES, INSTANCE_MODELS, SENDERS, QUEUE, MINUTES, LETTERS, WORKERS, LEASES, OPEN_FINDINGS, LATE_AND_LOST
    ),
    build=build,
    parameters=("instance", "show", "sort", "page"),
)  # fmt: skip
