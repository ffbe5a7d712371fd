"""Batches at a running gateway: similar tasks on one model, an outcome for each, and records for each."""

from support.commands import run_command
from support.gateways import Gateway
from support.servers import execute
from support.upstream.process import FakeUpstream
from support.waiting import eventually


def test_a_batch_stays_with_the_model_that_answered_its_first_request(
    gateway: Gateway, fake_upstream: FakeUpstream, database_url: str
) -> None:
    fake_upstream.behave("status=500", model="gpt", times=1)
    similar = [
        {"prompt": f"hello {number}", "metadata": {"taskType": "summary", "complexity": 5}} for number in range(4)
    ]
    forced = {"id": "own-id", "prompt": "hi", "model": "flash"}
    foreign = {"prompt": "hi", "workspaceId": "other"}
    reply = gateway.call(
        "POST", "/api/route/batch", {"requests": [*similar, forced, foreign, {"prompt": "hi", "model": "unheard"}]}
    )

    assert reply.status == 200
    found = reply.json()
    assert (found["total"], found["succeeded"], found["failed"]) == (7, 5, 2)
    results = found["results"]
    assert [each["answer"]["modelId"] for each in results[:5]] == ["opus"] * 4 + ["flash"], "gpt failed once"
    assert [each["answer"]["response"] for each in results[:4]] == [f"You said: hello {number}" for number in range(4)]
    assert {each["group"] for each in results[:4]} == {0}
    assert (results[4]["requestId"], results[4]["answer"]["requestId"]) == ("own-id", "own-id")
    assert [(each["httpStatus"], each["error"]["code"]) for each in results[5:]] == [
        (403, "forbidden"),
        (404, "model_not_found"),
    ]
    count = "SELECT count(*) FROM pgmq.q_model_routing_decisions"
    eventually(lambda: execute(database_url, count) == [(12,)], what="decisions and outcomes of six attempts")
    assert run_command("centralcloud", "drain", env={"DATABASE_URL": database_url}).returncode == 0
    drawn = "SELECT count(DISTINCT request_id), count(propensity) FROM routing_records WHERE outcome = 'routed'"
    assert execute(database_url, drawn) == [(5, 1)], "only the first of the group was drawn"
    again = gateway.call("POST", "/api/route/batch", {"requests": [forced]}).json()
    assert again["results"][0]["answer"] == results[4]["answer"], "the same id is the same call"
    assert gateway.call("POST", "/api/route/batch", {"requests": []}).error["field"] == "requests"
