"""The id of a gateway: claimed as that of an agent, and left in the register for another program that uses it, too."""

import signal

import psycopg
from support.gateways import Gateway
from support.servers import execute
from support.waiting import eventually

from instance_agent.sync.instance_claim import FIRST, INSTANCE_CLAIMS, SECOND


def test_a_gateway_claims_its_id_and_leaves_the_register_to_another_program_with_the_same_one(
    gateway: Gateway, database_url: str
) -> None:
    listed = "SELECT instance_id FROM instances"
    eventually(lambda: execute(database_url, listed) == [("gateway-1",)], what="the gateway in the register")
    with psycopg.connect(database_url, autocommit=True) as other:
        names = {"instance_id": "gateway-1", "claim": FIRST}
        eventually(lambda: INSTANCE_CLAIMS.all(other, names), what="the claim of the gateway")
        other.execute("SELECT pg_advisory_lock(hashtext(%s), hashtext('gateway-1'))", (SECOND,))
        gateway.program.process.send_signal(signal.SIGTERM)
        assert gateway.program.process.wait(timeout=20) == 0

        assert execute(database_url, listed) == [("gateway-1",)]
    (line,) = [each for each in gateway.program.log() if each["event"] == "instance_not_removed"]
    assert line["reason"].startswith("another program uses the same INSTANCE_ID: server process ")
