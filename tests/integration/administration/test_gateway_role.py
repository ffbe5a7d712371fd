"""The role of gateways: it reports feedback and does what an instance does, and reads no table."""

import psycopg
import pytest
from support.events import send
from support.fleet import Fleet
from support.ingest import ingest_all
from support.requests import a_request_id, report_feedback, waiting
from support.servers import execute

from centralcloud.ingest.batch_ingest import BatchResult
from centralcloud.runtime.postgres.database import Database
from centralcloud.store.schema import downgrade, migrate


def test_a_gateway_reports_feedback_and_reads_nothing(shared_fleet: Fleet) -> None:
    fleet = shared_fleet
    request_id = a_request_id()
    send(fleet.owner, [waiting(request_id)])
    with Database(fleet.worker, application_name="tests") as worker:
        ingest_all(worker)
        assert report_feedback(fleet.gateway, request_id, success=True) == ("learned", True)
        assert ingest_all(worker) == BatchResult(records=1)
    for url, statement in (
        *((fleet.gateway, f"SELECT * FROM {table}") for table in ("feedback", "waiting_feedback", "routing_decisions")),
        (fleet.gateway, "SELECT centralcloud.settle_feedback()"),
        (fleet.gateway, "DELETE FROM request_plans"),
        (fleet.instance, f"SELECT centralcloud.report_feedback('{request_id}', true)"),
        (fleet.instance, f"SELECT centralcloud.submit_feedback('{request_id}', true, 1, '', '', '', '')"),
        (fleet.dashboard, f"SELECT centralcloud.report_feedback('{request_id}', true)"),
        (fleet.dashboard, "SELECT comment FROM feedback"),
        (fleet.dashboard, "SELECT objective FROM routing_decisions"),
        (fleet.dashboard, "SELECT key_id FROM routing_decisions"),
        (fleet.dashboard, "SELECT user_id FROM routing_records"),
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(url, statement)
    assert execute(fleet.dashboard, "SELECT success, workspace FROM feedback") == [(True, None)]
    decisions = "SELECT selected_model, success FROM routing_decisions"
    assert execute(fleet.dashboard, decisions) == [("gpt-4o", True)]
    with Database(fleet.owner, application_name="tests") as owner:
        downgrade(owner, "0019")
        assert execute(fleet.dashboard, decisions) == [("gpt-4o", True)], "a view that was made again has its rights"
        assert execute(fleet.worker, decisions) == [("gpt-4o", True)]
        with pytest.raises(psycopg.errors.UndefinedColumn):
            execute(fleet.worker, "SELECT key_id FROM routing_decisions")
        migrate(owner)
    assert execute(fleet.worker, "SELECT key_id FROM routing_decisions") == [(None,)]
