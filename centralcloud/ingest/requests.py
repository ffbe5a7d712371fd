"""Plans of requests, and feedback that waited for them: stored in the transaction of the batch that has the records."""

from collections.abc import Iterable
from typing import Any

import psycopg

from centralcloud.contracts.json_text import encode_array
from centralcloud.contracts.routing_event import RequestEvent
from centralcloud.ingest.batch import ReceivedEvent
from centralcloud.runtime.postgres.query import Query

_INSERT_REQUEST_PLANS = Query(__package__, "insert_request_plans")
_SETTLE_FEEDBACK = Query(__package__, "settle_feedback", row=int)


def store_plans(connection: psycopg.Connection[Any], events: Iterable[ReceivedEvent]) -> None:
    """Store the plan of each request that has none yet.

    The first plan of a request wins. Nothing is stored while ``retention.request_plans_days`` is 0.
    """
    plans: dict[str, bytes] = {}
    for received in events:
        if received.plan is not None and isinstance(received.event, RequestEvent) and received.event.request_id:
            plans.setdefault(received.event.request_id, received.plan)
    if plans:
        request_ids = sorted(plans)
        texts = b"[" + b",".join([plans[request_id] for request_id in request_ids]) + b"]"
        _INSERT_REQUEST_PLANS.run(connection, {"request_ids": encode_array(request_ids), "plans": texts.decode()})


def settle_feedback(connection: psycopg.Connection[Any], events: Iterable[ReceivedEvent]) -> int:
    """Apply the feedback that waited for the requests of `events`, whose records are stored; return how many of it.

    Feedback that another transaction reports at the same time may not see these records: maintenance applies it.
    """
    request_ids = {each.event.request_id for each in events if isinstance(each.event, RequestEvent)} - {None}
    if not request_ids:
        return 0
    return _SETTLE_FEEDBACK.one(connection, {"request_ids": encode_array(list(request_ids))})
