"""Words for how far a change reaches: instances that follow, and the share of the last day's traffic. Pure."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from centralcloud.dashboard.reader.snapshot import Snapshot
from centralcloud.dashboard.sources.fleet import FLEET
from centralcloud.dashboard.sources.traffic import TRAFFIC, PairTraffic
from centralcloud.dashboard.web.formats import percent
from centralcloud.dashboard.web.times import in_zone, is_far
from centralcloud.learning.evidence import Pair
from centralcloud.runtime.wording import counted

#: The values of the snapshot that these words are made from.
REACH_SOURCES: Final = (FLEET, TRAFFIC)


def instances_that_follow(snapshot: Snapshot) -> str:
    """Say how many instances apply new scores."""
    fleet = snapshot.of(FLEET)
    if fleet is None:
        return "It is not known now how many instances follow."
    if not fleet.instances:
        return "No instance was seen within a day: the first one that comes applies it."
    follow = (
        f"{counted(fleet.instances, 'instance')} {'applies' if fleet.instances == 1 else 'apply'} it within seconds"
    )
    behind = f"; {fleet.behind:,} of them {'is' if fleet.behind == 1 else 'are'} behind now" if fleet.behind else ""
    return f"{follow}{behind}."


def instances_in_words(snapshot: Snapshot) -> str:
    """Begin a sentence with the instances: "5 instances go"."""
    fleet = snapshot.of(FLEET)
    if fleet is None:
        return "All instances go"
    return f"{counted(fleet.instances, 'instance')} {'goes' if fleet.instances == 1 else 'go'}"


def traffic_of_pair(snapshot: Snapshot, pair: Pair) -> str:
    """Say what share of the tasks of its complexity a pair gets, and of all tasks."""
    traffic = snapshot.of(TRAFFIC)
    if traffic is None:
        return "Its share of the traffic is not known now."
    mine, of_complexity, total = _decisions(traffic, [pair]), _of_complexity(traffic, pair[1]), _total(traffic)
    if not mine:
        return f"It got no {pair[1]} task in the last day."
    return (
        f"It got {percent(mine / of_complexity)} of the {pair[1]} tasks in the last day, {percent(mine / total)} of all: "
        f"{mine:,} of {total:,} decisions."
    )


def traffic_of_pairs(snapshot: Snapshot, pairs: Collection[Pair]) -> str:
    """Say what share of all tasks some pairs get together."""
    traffic = snapshot.of(TRAFFIC)
    if traffic is None:
        return "Their share of the traffic is not known now."
    mine, total = _decisions(traffic, pairs), _total(traffic)
    if not mine:
        return "They got no task in the last day."
    return f"Together they got {percent(mine / total)} of all tasks in the last day: {mine:,} of {total:,} decisions."


def traffic_of_model(snapshot: Snapshot, model: str) -> str:
    """Say what share of all tasks a model gets."""
    traffic = snapshot.of(TRAFFIC)
    if traffic is None:
        return "Its share of the traffic is not known now."
    mine, total = sum(each.decisions for each in traffic if each.model == model), _total(traffic)
    if not mine:
        return "It got no task in the last day."
    return f"It got {percent(mine / total)} of all tasks in the last day: {mine:,} of {total:,} decisions."


def at(moment: datetime, zone: ZoneInfo) -> str:
    """Return a time in the viewer's zone: "1 Dec 03:12 CET"; with the year where it is far from now."""
    local = in_zone(moment, zone)
    year = f" {local.year}" if is_far(moment, datetime.now(UTC)) else ""
    return f"{local.day} {local:%b}{year} {local:%H:%M %Z}"


def _decisions(traffic: Sequence[PairTraffic], pairs: Collection[Pair]) -> int:
    return sum(each.decisions for each in traffic if (each.model, each.complexity) in pairs)


def _of_complexity(traffic: Sequence[PairTraffic], complexity: str) -> int:
    return sum(each.decisions for each in traffic if each.complexity == complexity)


def _total(traffic: Sequence[PairTraffic]) -> int:
    return sum(each.decisions for each in traffic)
