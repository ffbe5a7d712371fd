"""Instances whose clock is far behind: their events are counted at their own time, which is long over."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Final

import psycopg

from centralcloud.ingest.batch import ReceivedEvent
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.wording import age, counted
from centralcloud.store.findings import Finding
from centralcloud.store.urgent_findings import open_urgent_finding

log = get_logger(__name__)

#: The kind of the finding that is open while this happens.
INSTANCE_CLOCK_BEHIND: Final = "instance_clock_behind"
#: Old events are sent again after an outage, or imported. A clock that has lost its battery begins years ago.
_FAR_BEHIND: Final = timedelta(days=365)
_YEAR: Final = timedelta(days=365.25)
#: Instances of one batch that get a finding; one login may send any number of instance ids.
_MOST_NAMED: Final = 10
_timestamp_of: Final = attrgetter("event.timestamp")


def report_clocks_behind(connection: psycopg.Connection[Any], events: Iterable[ReceivedEvent], now: datetime) -> None:
    """Open a finding for each instance all of whose `events` lie more than a year behind the server's time, `now`.

    Must follow every lock that other ingests wait for. Findings are opened in the order of the instances.
    """
    latest = now - _FAR_BEHIND
    events = list(events)
    if min(map(_timestamp_of, events), default=latest) >= latest:
        return
    behind: dict[str, list[datetime]] = defaultdict(list)
    for received in events:
        if received.event.timestamp < latest:
            behind[received.event.instance_id].append(received.event.timestamp)
    in_time = {received.event.instance_id for received in events if received.event.timestamp >= latest}
    found = sorted(behind.keys() - in_time, key=lambda each: (-len(behind[each]), each))
    for instance_id in sorted(found[:_MOST_NAMED]):
        newest = max(behind[instance_id])
        events_sent = counted(len(behind[instance_id]), "event")
        message = (
            f"the clock of instance {instance_id} is {_distance(now - newest)} behind, or it sends old events: the newest "
            f"of {events_sent} has {newest.isoformat(timespec='seconds')}. They keep that time, wrong in every report: "
            "set its clock"
        )
        details = {"instance": instance_id, "events": len(behind[instance_id]), "newest_event": newest.isoformat()}
        open_urgent_finding(connection, Finding(INSTANCE_CLOCK_BEHIND, instance_id, message, details))
    if found:
        newest_event = max(behind[found[0]]).isoformat()
        log.warning("instance_clock_behind", instances=len(found), instance_id=found[0], newest=newest_event)


def _distance(behind: timedelta) -> str:
    return f"{behind / _YEAR:.0f} years" if behind >= 2 * _YEAR else age(behind.total_seconds())
