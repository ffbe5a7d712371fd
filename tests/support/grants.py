"""Events and statements of an instance under the roles of a fleet."""

import json

import psycopg
import pytest

from centralcloud.administration.grants import (
    Login,
    apply_login,
)
from centralcloud.runtime.postgres.database import Database
from support.commands import run_command
from support.events import an_event, outcomes, send
from support.fleet import Fleet
from support.operators import OPERATOR
from support.servers import execute


def event(instance_id: str = "node-1") -> str:
    return json.dumps(an_event(instance_id))


SPEAKING = (
    ("SELECT centralcloud.publish_decision(%s)", (event(),)),
    ("SELECT centralcloud.publish_decisions(%s::jsonb[])", ([event(), event("node-2")],)),
    ("SELECT centralcloud.acknowledge(%s, 0)", ("node-1",)),
)


def queued(fleet: Fleet) -> list[str]:
    rows = execute(fleet.admin, "SELECT message ->> 'instance_id' FROM pgmq.q_model_routing_decisions ORDER BY msg_id")
    return [name for (name,) in rows]


def refusal(url: str, statement: str, parameters: object = None) -> str:
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as refused:
        execute(url, statement, parameters)
    return str(refused.value.diag.message_primary)


def a_login(fleet: Fleet, instance_id: str) -> str:
    """Return the URL of a login that may act for this instance alone."""
    login = Login(f"{fleet.roles.instance}_{instance_id}", instance_id, fleet.roles.instance)
    with Database(fleet.owner, application_name="tests") as database:
        apply_login(database, login, OPERATOR)
    fleet.let_in(login.name)
    return fleet.url(login.name)


def learn_something(fleet: Fleet) -> None:
    send(fleet.worker, outcomes(100, 0, complexity_score=3.0))
    for command in ("drain", "learn"):
        assert run_command("centralcloud", command, env={"DATABASE_URL": fleet.worker}).returncode == 0
