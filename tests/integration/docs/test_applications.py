"""The pages about applications at the gateway: their commands, in order, and the use and cost of each application in SQL."""

import json
import os
import re
import shlex
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from support.commands import environment
from support.events import SENT_AT, an_event, send
from support.metric_names import METRICS
from support.pages import ShellBlock, Terminal, missing_lines, shell_blocks
from support.ports import free_port
from support.repository import REPOSITORY
from support.servers import execute
from support.waiting import eventually
from typer.testing import CliRunner

from centralcloud.cli.app import app
from centralcloud.ingest.drain import drain
from centralcloud.runtime.postgres.database import Database

_MOVE = REPOSITORY / "docs/how-to/move-applications-to-the-gateway.md"
_COST = REPOSITORY / "docs/how-to/see-use-and-cost.md"
_DASHBOARD = REPOSITORY / "deploy/grafana/dashboards/gateway.json"


def _query(heading: str) -> str:
    section = _COST.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"^```sql\n(.*?)^```", section, re.DOTALL | re.MULTILINE)
    return block


def _rows(database_url: str, query: str) -> list[dict[str, Any]]:
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def test_the_commands_that_move_an_application(tmp_path: Path, database: Database, database_url: str) -> None:
    """With simulated models, and an application in each of two workspaces; then each one's use and cost is seen."""
    port = free_port()
    variables = {
        "DATABASE_URL": database_url, "INSTANCE_AGENT_GATEWAY_PORT": str(port),
        "INSTANCE_AGENT_STATE_DIR": str(tmp_path / "state"), "INSTANCE_AGENT_LOG_FORMAT": "json",
    }  # fmt: skip
    terminal = Terminal(tmp_path, variables)
    log = tmp_path / "serve.log"
    rule, keys, *requests = shell_blocks(_MOVE)
    program = terminal.start(ShellBlock("", "instance-agent serve --simulate --simulate-speed 50"), log)
    try:
        _, *arguments = shlex.split(rule.commands)  # in this process: other tests start this program
        result = CliRunner().invoke(app, arguments, env=environment(DATABASE_URL=database_url))
        assert result.exit_code == 0, result.output
        terminal.run(keys)
        eventually(lambda: "gateway_started" in log.read_text() or program.poll() is not None, within_seconds=60)
        known = f'curl -s --fail -H "authorization: Bearer $SUPPORT_KEY" http://127.0.0.1:{port}/v1/models || true'
        eventually(lambda: terminal.run(known), what="the gateway to know the keys")
        for block in requests:
            block.commands = block.commands.replace("3003", str(port))
            missing = missing_lines(block.shown, printed := terminal.run(block))
            assert not missing, f"{block.commands}\n{missing}\n{printed}"
        unsupported = ("/v1/images/generations", "/v1/completions", "/v1/files", "/v1/messages/batches")
        get = f"curl -s -o /dev/null -w '%{{http_code}} ' -H \"x-api-key: $SEARCH_KEY\" http://127.0.0.1:{port}"
        statuses = terminal.run("\n".join(f"{get}{path} -d '{{}}'" for path in unsupported))
        assert statuses.split() == ["404"] * len(unsupported)
        os.kill(program.pid, signal.SIGINT)
        assert program.wait(timeout=60) == 0, log.read_text()
    finally:
        program.kill()
        program.wait()
    drain(database, batch_size=1000)
    used = _rows(database_url, _query("By workspace and model"))
    requests_of = {name: {r["model"] for r in used if r["workspace"] == name} for name in ("search", "support", None)}
    assert requests_of["search"]
    assert requests_of["support"]
    assert not requests_of[None], "each request has a key with a workspace"
    spent = execute(database_url, "SELECT sum(cost_nano_usd) / 1e9 FROM routing_records")[0][0]
    assert sum(row["usd"] for row in used if row["usd"]) == round(spent, 6) > 0


def _attempt(number: int, decision: str, model: str, nano_usd: int | None, **caller: str) -> list[dict[str, Any]]:
    """Return both events of an attempt of request `number`, as a gateway publishes them."""
    same = {
        "selected_model": model, "decision_id": decision, "attempt": 1,
        "request_id": f"0199f3f4-5a7e-7c3a-9b1e-{number:012}",
    }  # fmt: skip
    usage = {"input_tokens": 10, "output_tokens": 5, "cost_nano_usd": nano_usd}
    return [an_event(**same, **caller), an_event(**same, **usage, outcome="success")]


def test_the_queries_put_the_cost_of_an_attempt_and_its_caller_together(database: Database, database_url: str) -> None:
    search, support = ({"workspace": name, "key_id": f"cck_{name}"} for name in ("search", "support"))
    waiting = _attempt(4, "d-5", "gpt-4o", None, **support)[0]
    waiting["routing_decision"]["cost_nano_usd"] = 500_000_000  # waits for feedback: its spend is known at once
    events = [
        *_attempt(1, "d-1", "gpt-4o", 1_000_000_000, **search),
        *_attempt(1, "d-2", "claude", 2_000_000_000, **search),
        *_attempt(2, "d-3", "gpt-4o", None, **search),
        *_attempt(3, "d-4", "gpt-4o", 250_000_000, **support),
        waiting,
    ]
    send(database_url, events)
    drain(database, batch_size=1000)
    by_model = [tuple(row.values()) for row in _rows(database_url, _query("By workspace and model"))]
    assert by_model == [
        ("search", "claude", 1, 1, 10, 5, Decimal("2.000000"), 0),
        ("search", "gpt-4o", 2, 2, 20, 10, Decimal("1.000000"), 1),
        ("support", "gpt-4o", 2, 2, 10, 5, Decimal("0.750000"), 0),
    ]
    by_key = [tuple(row.values()) for row in _rows(database_url, _query("By key"))]
    assert by_key == [("cck_search", 2, Decimal("3.000000")), ("cck_support", 2, Decimal("0.750000"))]
    by_day = _rows(database_url, _query("By day"))
    assert [(row["workspace"], row["requests"], row["usd"]) for row in by_day] == [
        ("search", 2, 3),
        ("support", 2, Decimal("0.75")),
    ]
    assert {row["day"] for row in by_day} == {SENT_AT.date()}
    one = _query("One request").replace("2f6d8c4a1b90", f"{1:012}")
    assert [(row["workspace"], row["attempts"], row["actual_cost"]) for row in _rows(database_url, one)] == [
        ("search", 2, 3)
    ]
    panels = json.loads(_DASHBOARD.read_text())["panels"]
    (panel,) = [each["targets"][0]["rawSql"] for each in panels if each["title"] == "Cost by workspace, last day"]
    shown = [(row["workspace"], row["model"], row["cost_usd"]) for row in _rows(database_url, panel)]
    assert shown == [(row[0], row[1], row[6]) for row in by_model], "the panel shows the same"


def test_the_metrics_of_the_page_exist() -> None:
    named = set(re.findall(r"centralcloud_gateway_\w+", _COST.read_text()))
    assert len(named) == 3
    assert named <= METRICS
