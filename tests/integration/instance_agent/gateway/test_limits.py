"""Budgets and rate limits in running gateways: what is spent, what is refused, and which models answer then."""

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.commands import run_command
from support.gateways import UPSTREAM_KEY, Gateway, Reply, a_key, start_gateway
from support.programs import Program
from support.servers import execute
from support.spending import put_budgets
from support.tcp_proxy import TcpProxy
from support.upstream.process import FakeUpstream
from support.upstream.server import MODELS
from support.waiting import eventually

from centralcloud.contracts.fleet_configuration.key import RateLimit

#: At most 22 tokens of prompt and 10 of answer: 22 x 1.25 + 10 x 2 millionths of a USD at gpt, `WORST`.
_CATALOG = """
providers:
  - {{provider: alpha, dialect: openai, base_url: "{openai}", api_key: "file:{key}"}}
  - {{provider: near, dialect: openai, base_url: "{openai}", local: true}}
models:
  - name: gpt
    provider: alpha
    context_window: 128000
    pricing: {{input: 1.0, output: 2.0}}
    complexity_scores: {{simple: 4.9, medium: 4.9, complex: 4.9}}
  - name: mini
    provider: alpha
    pricing: {{input: 0.1, output: 0.2}}
    complexity_scores: {{simple: 0.2, medium: 0.2, complex: 0.2}}
  - name: gratis
    provider: alpha
    pricing: {{input: 0, output: 0}}
    complexity_scores: {{simple: 0.1, medium: 0.1, complex: 0.1}}
  - {{name: unpriced, provider: alpha}}
  - {{name: house, provider: near, version: {small}, complexity_scores: {{simple: 0.1, medium: 0.1, complex: 0.1}}}}
"""
WORST = 47_500
LIMIT = 0.0005
LIMIT_NANO = 500_000
#: The refusals of a machine on which an exchange takes longer than a request waits.
_SLOW = ("budget_busy", "database_unavailable")


def a_gateway(
    start: Callable[..., Program],
    folder: Path,
    upstream: FakeUpstream,
    url: str,
    name: str = "gateway-1",
    key: str | None = None,
    **env: str,
) -> Gateway:
    folder.mkdir(exist_ok=True)
    secret, catalog = folder / "key", folder / "limits.yaml"
    secret.write_text(UPSTREAM_KEY)
    secret.chmod(0o600)
    catalog.write_text(_CATALOG.format(openai=upstream.openai_url, key=secret, small=MODELS[0]))
    return start_gateway(
        start, folder, upstream, url, key=key, INSTANCE_ID=name, INSTANCE_AGENT_CATALOG=str(catalog),
        INSTANCE_AGENT_SELECTION="greedy", **env,
    )  # fmt: skip


def budget(workspace: str, on_limit: str = "free_only", **fields: Any) -> dict[str, Any]:
    common = {"scope": "workspace", "of": workspace, "period": "monthly", "limit": LIMIT}
    return {**common, "onLimit": on_limit, **fields}


def chat(gateway: Gateway, key: str, model: str = "gpt", **fields: Any) -> Reply:
    body = {"model": model, "messages": [{"role": "user", "content": "hello there"}], "max_tokens": 10, **fields}
    return gateway.call("POST", "/v1/chat/completions", body, key=key)


def nano_of(reply: Reply) -> int:
    return round(float(reply.headers["x-centralcloud-cost-usd"]) * 1e9)


def spent(url: str, meter: str) -> tuple[int, int]:
    """Return what was reported of a meter, and the part of it that is estimated."""
    rows = execute(url, f"SELECT spent, estimated FROM spend_periods WHERE meter = '{meter}'")
    return (int(rows[0][0]), int(rows[0][1])) if rows else (0, 0)


def spend_all(gateway: Gateway, key: str, model: str = "gpt") -> tuple[int, Reply]:
    """Send requests until one is not answered by the model; return what they cost, and the answer to that one."""
    total = 0
    for _ in range(60):
        reply = chat(gateway, key, model)
        if reply.status != 200 and reply.error["code"] in _SLOW:
            continue
        if reply.status != 200 or reply.headers["x-centralcloud-model"] != "gpt":
            return total, reply
        total += nano_of(reply)
    raise AssertionError(f"never refused, after {total} nano-USD")


def test_budgets_stop_at_their_limit_with_exact_sums_and_let_the_models_answer_that_they_name(
    start: Callable[..., Program], tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    names = ("stops", "frees", "cheap", "tasks", "streams", "none")
    keys = {name: a_key(database_url, "user", workspace=name) for name in names}
    put_budgets(
        database_url,
        budget("stops", "stop"),
        budget("frees"),
        budget("cheap", "cheap", cheapModels=["mini"], overdraft=0.04),
        budget("tasks", period="task", limit=0.00003),
        budget("streams", "stop", limit=1),
    )
    gateway = a_gateway(start, tmp_path, fake_upstream, database_url, key=a_key(database_url, "admin"))

    # stop: 402, the sum is exact, and less than one request is left.
    total, refused = spend_all(gateway, keys["stops"])
    assert LIMIT_NANO - WORST < total <= LIMIT_NANO
    assert (refused.status, refused.error["code"]) == (402, "budget_exhausted"), refused.body
    assert "budget workspace:stops:monthly: found" in refused.error["message"]
    assert refused.headers["x-should-retry"] == "false"
    assert int(refused.headers["retry-after"]) > 0
    assert chat(gateway, keys["stops"], "auto").status == 402
    eventually(lambda: spent(database_url, "budget/workspace:stops:monthly") == (total, 0), what="the report")
    shown = gateway.call("GET", "/api/analytics/budgets", key=keys["stops"]).json()
    (own,) = shown["budgets"]
    assert (own["budgetId"], own["of"], own["period"]) == ("workspace:stops:monthly", "stops", "monthly")
    assert (own["spentNanoUsd"], own["leftNanoUsd"], own["limit"]) == (total, LIMIT_NANO - total, LIMIT)
    assert own["alertedAt"] is not None, "80% were passed"
    everything = gateway.call("GET", "/api/analytics/budgets").json()
    assert {each["budgetId"] for each in everything["budgets"]} > {own["budgetId"]}, (
        "a key without a workspace sees all"
    )
    listed = run_command(
        "instance-agent", "spend", "--workspace", "stops", "--json", env={"DATABASE_URL": database_url}
    )
    (row,) = json.loads(listed.stdout)["budgets"]
    assert (row["budgetId"], row["spentNanoUsd"]) == (own["budgetId"], total)
    table = run_command("instance-agent", "spend", env={"DATABASE_URL": database_url}).stdout
    assert re.search(r"^workspace:stops:monthly .* yes$", table, re.MULTILINE), table
    assert chat(gateway, keys["none"]).status == 200, "other workspaces have no budget"

    # free_only: models of price 0, also by a plan; a model that the client names is a 402.
    total, refused = spend_all(gateway, keys["frees"])
    assert (LIMIT_NANO - WORST < total <= LIMIT_NANO, refused.status) == (True, 402), refused.body
    freed = chat(gateway, keys["frees"], "auto")
    assert (freed.status, freed.headers["x-centralcloud-model"] in ("gratis", "house")) == (200, True), freed.body
    assert chat(gateway, keys["frees"], "gratis").status == 200
    routed = gateway.call("POST", "/api/route", {"prompt": "hello"}, key=keys["frees"])
    assert (routed.status, routed.json()["modelId"] in ("gratis", "house")) == (200, True)
    streamed = chat(gateway, keys["frees"], "auto", stream=True)
    assert (streamed.status, streamed.headers["x-centralcloud-model"] in ("gratis", "house")) == (200, True)

    # cheap: the named models up to the overdraft, then none.
    total, first = spend_all(gateway, keys["cheap"], "auto")
    assert (first.status, first.headers["x-centralcloud-model"]) == (200, "mini"), first.body
    over = nano_of(first)
    for _ in range(60):
        reply = chat(gateway, keys["cheap"], "auto")
        if reply.status != 200:
            break
        assert reply.headers["x-centralcloud-model"] == "mini"
        over += nano_of(reply)
    assert (reply.status, reply.error["code"]) == (402, "budget_exhausted"), reply.body
    assert LIMIT_NANO < total + over <= LIMIT_NANO * 1.04
    sums = ("budget/workspace:cheap:monthly", "overdraft/workspace:cheap:monthly")
    eventually(lambda: sum(spent(database_url, each)[0] for each in sums) == total + over, what="both reports")

    # task: a model within the limit of each request; the one that the client names is a 402.
    within = chat(gateway, keys["tasks"], "auto")
    assert (within.status, within.headers["x-centralcloud-model"]) == (200, "mini"), within.body
    dear = chat(gateway, keys["tasks"])
    assert (dear.status, dear.error["code"]) == (402, "task_limit"), dear.body
    unpriced = chat(gateway, keys["tasks"], "unpriced")
    assert (unpriced.status, unpriced.error["code"]) == (402, "price_unknown"), unpriced.body
    assert chat(gateway, keys["none"], "unpriced").status == 200, "no budget counts"

    # The provider's own cost counts first; a call that ends without an answer counts with its worst case, one that was
    # refused not at all; a stream that its client left is an estimate.
    meter = "budget/workspace:streams:monthly"
    fake_upstream.behave("cost=0.0123", times=1)
    own = chat(gateway, keys["streams"])
    known = nano_of(own)
    assert known == 12_300_000
    eventually(lambda: spent(database_url, meter)[0] >= known)
    before, _ = spent(database_url, meter)
    fake_upstream.behave("status=400", times=1)
    assert chat(gateway, keys["streams"]).status == 400
    fake_upstream.behave("reset", times=1)
    assert chat(gateway, keys["streams"]).status == 502
    eventually(lambda: spent(database_url, meter) == (before + WORST, WORST), what="the worst case, estimated")
    fake_upstream.behave("trickle=0.3", times=1)
    leave_a_stream(gateway, keys["streams"])

    def left() -> bool:
        now, estimated = spent(database_url, meter)
        return now - before - WORST == estimated - WORST > 0

    eventually(left, what="the stream that was left, as estimated")

    # Numbers that no answer has: they give no money back, and no report has an amount that the database refuses.
    before, _ = spent(database_url, meter)
    fake_upstream.behave("hang", times=1)
    leave_before_the_answer(gateway, keys["streams"], fake_upstream, max_tokens=-100_000_000)
    eventually(lambda: spent(database_url, meter)[0] > before, what="the call that was left")
    for most in (10**18, 2**63 - 1, 2**64):
        assert chat(gateway, keys["streams"], max_tokens=most).status == 402, most
    assert chat(gateway, keys["streams"], n=10**6).status == 402
    described = [{"type": "function", "function": {"name": "f", "description": "word " * 500_000}}]
    assert chat(gateway, keys["streams"], tools=described).status == 402, "2.5 MB of tools: 1.25 USD and more"
    earlier = {"model": "gpt", "input": "hello", "previous_response_id": "resp_1", "max_output_tokens": 10}
    found = gateway.call("POST", "/v1/responses", earlier, key=keys["tasks"])
    assert (found.status, "may cost 0.16002 USD" in found.error["message"]) == (402, True), "the whole window"
    later = {"model": "gpt", "input": "hello", "background": True}
    assert gateway.call("POST", "/v1/responses", later, key=keys["streams"]).error["param"] == "background"
    before, _ = spent(database_url, meter)
    assert chat(gateway, keys["streams"]).status == 200
    eventually(lambda: spent(database_url, meter)[0] > before, what="reports after it")

    metrics = gateway.call("GET", "/metrics").body.decode()
    for name in ('refused_total{code="budget_exhausted"}', "reservations_total", "exchanges_total", "exchange_up"):
        (line,) = [each for each in metrics.splitlines() if each.startswith(f"centralcloud_gateway_spend_{name}")]
        assert float(line.split()[-1]) > 0, line


def leave_before_the_answer(gateway: Gateway, key: str, upstream: FakeUpstream, **fields: Any) -> None:
    """Send a request, and close the connection once the upstream has it."""
    before = upstream.state()["total"]
    body = {"model": "gpt", "messages": [{"role": "user", "content": "hello there"}], **fields}
    sent = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as connection:
        connection.sendall(f"{head}content-length: {len(sent)}\r\n\r\n".encode() + sent)
        eventually(lambda: upstream.state()["total"] > before, what="the request at the upstream")


def leave_a_stream(gateway: Gateway, key: str) -> None:
    """Read the begin of a stream, and close the connection."""
    body = {"model": "gpt", "messages": [{"role": "user", "content": "hello there"}], "max_tokens": 10, "stream": True}
    sent = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as connection:
        connection.sendall(f"{head}content-length: {len(sent)}\r\n\r\n".encode() + sent)
        received = b""
        while b"data:" not in received:
            received += connection.recv(4096)


def test_a_rate_limit_counts_over_two_gateways(
    start: Callable[..., Program], tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    limit = RateLimit(requests=12, window_ms=24 * 3_600_000)
    key = a_key(database_url, "user", rate_limit=limit)
    tokens = a_key(database_url, "user", rate_limit=RateLimit(requests=100, window_ms=24 * 3_600_000, tokens=100))
    other = a_key(database_url, "user")
    gateways = [a_gateway(start, tmp_path / name, fake_upstream, database_url, name) for name in ("one", "two")]
    for gateway in gateways:
        assert chat(gateway, key, "no-such-model").status == 404, "it was sent nowhere, and does not count"
    # A gateway whose first answer is slow admits by its share, which a slow machine would see here.
    holders = "SELECT count(DISTINCT holder) FROM spend_leases WHERE meter LIKE 'requests/%'"
    eventually(lambda: execute(database_url, holders) == [(2,)], what="a lease of each gateway")
    replies = [chat(gateways[number % 2], key) for number in range(20)]
    assert sum(reply.status == 200 for reply in replies) == 12
    for refused in [reply for reply in replies if reply.status != 200]:
        assert (refused.status, refused.error["code"]) == (429, "rate_limited"), refused.body
        assert int(refused.headers["retry-after"]) > 0
        assert "x-should-retry" not in refused.headers
    counted = {"model": "gpt", "messages": [{"role": "user", "content": "hello there"}]}
    assert gateways[0].call("POST", "/v1/messages/count_tokens", counted, key=key).status == 429
    assert [chat(each, other).status for each in gateways] == [200, 200]
    # 22 of the prompt and 10 of the answer at the most, some 17 in fact.
    assert [chat(gateways[0], tokens).status for _ in range(8)][-1] == 429
    assert chat(gateways[0], tokens, max_tokens=1000).status == 429

    # Gateways that stop return their leases.
    for each in gateways:
        each.program.process.terminate()
        assert each.program.process.wait(timeout=30) == 0
    held = execute(database_url, "SELECT sum(leased) FROM spend_periods")
    assert [int(row[0]) for row in held] == [0]


def test_without_the_database_leases_are_used_up_and_then_the_budget_decides(
    start: Callable[..., Program], tmp_path: Path, fake_upstream: FakeUpstream, database_url: str
) -> None:
    keys = {name: a_key(database_url, "user", workspace=name) for name in ("stops", "local")}
    put_budgets(
        database_url, budget("stops", "stop", limit=0.002), budget("local", limit=0.002, onDatabaseLoss="allow_local")
    )
    with TcpProxy(database_url) as proxy:
        gateway = a_gateway(start, tmp_path, fake_upstream, proxy.url, INSTANCE_AGENT_GATEWAY_DISCOVERY_SECONDS="1")
        assert [chat(gateway, key).status for key in keys.values()] == [200, 200]
        proxy.pause()
        proxy.cut()

        def last() -> Reply:
            return chat(gateway, keys["stops"])

        eventually(lambda: last().status == 503, what="the lease is used up")
        refused = last()
        assert (refused.status, refused.error["code"]) == (503, "database_unavailable"), refused.body
        eventually(lambda: chat(gateway, keys["local"], "auto").headers["x-centralcloud-provider"] == "near")
        assert chat(gateway, keys["local"]).status == 503, "the model that the client names is not local"
        proxy.resume()
        eventually(lambda: chat(gateway, keys["stops"]).status == 200, what="another lease")
