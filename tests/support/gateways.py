"""Gateways as processes: `instance-agent serve` on a free port, in front of the fake upstream, with a real database."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from centralcloud.contracts.fleet_configuration import Role
from centralcloud.runtime.configuration.keys import create_key
from centralcloud.runtime.configuration.writing import Author
from centralcloud.runtime.postgres.database import Database
from support.programs import Program
from support.upstream.process import FakeUpstream
from support.waiting import eventually

UPSTREAM_KEY = "sk-upstream-0123456789abcdef"

_CATALOG = """
providers:
  - {{provider: alpha, dialect: openai, base_url: "{openai}", api_key: "file:{key}", key_hosts: [api.openai.com, a.example]}}
  - {{provider: beta, dialect: anthropic, base_url: "{anthropic}", api_key: "file:{key}"}}
  - {{provider: gamma, dialect: gemini, base_url: "{gemini}", api_key: "file:{key}"}}
aliases: {{"claude-*": auto}}
models:
  - &all
    name: gpt
    provider: alpha
    capabilities: [vision, function_calling, json_schema]
    context_window: 128000
    pricing: {{input: 1.0, output: 2.0}}
    complexity_scores: {{simple: 4.0, medium: 4.0, complex: 4.0}}
  - {{<<: *all, name: opus, provider: beta, complexity_scores: {{simple: 3.0, medium: 3.0, complex: 3.0}}}}
  - {{<<: *all, name: flash, provider: gamma, complexity_scores: {{simple: 2.0, medium: 2.0, complex: 2.0}}}}
  - name: embed
    provider: alpha
    model_type: embedding
    pricing: {{input: 1.0, output: 0}}
    complexity_scores: {{simple: 3, medium: 3, complex: 3}}
"""


def a_catalog(folder: Path, upstream: FakeUpstream) -> Path:
    """Write a catalog of the models gpt (the best), opus, flash and embed, each at a protocol of the fake upstream."""
    key = folder / "upstream.key"
    key.write_text(UPSTREAM_KEY)
    key.chmod(0o600)
    file = folder / "catalog.yaml"
    file.write_text(
        _CATALOG.format(
            openai=upstream.openai_url, anthropic=upstream.anthropic_url, gemini=upstream.gemini_url, key=key
        )
    )
    return file


def a_key(database_url: str, role: Role = "user", workspace: str | None = None, **options: Any) -> str:
    """Create a key, without a rate limit unless `options` have one, and return its text."""
    with Database(database_url, application_name="tests") as database:
        author = Author(who="tests", via="cli", source="tests")
        created = create_key(database, author, role=role, label="test", workspace=workspace, **options)
        assert created.text is not None
        return created.text


class Gateway:
    """A running gateway.

    Attributes:
        url: without a path; `key` is sent by `call`.
        program: the process, with its log.
    """

    def __init__(self, program: Program, key: str | None, *, scheme: str = "http") -> None:
        self.program = program
        self.key = key
        program.wait_for("gateway_started")
        started = next(line for line in program.log() if line["event"] == "gateway_started")
        self.port: int = started["port"]
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.openai_url = f"{self.url}/v1"

    def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = "", headers: dict[str, str] | None = None
    ) -> "Reply":
        """Send one request, and return its answer, whatever its status. `key` "": that of the gateway; None: none."""
        sent = self.key if key == "" else key
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        own = {"content-type": "application/json", **({"authorization": f"Bearer {sent}"} if sent else {})}
        request = Request(self.url + path, data, own | (headers or {}), method=method)
        try:
            with urlopen(request, timeout=60) as answer:
                return Reply(answer.status, dict(answer.headers.items()), answer.read())
        except HTTPError as error:
            with error:
                return Reply(error.code, dict(error.headers.items()), error.read())

    def chat(self, model: str = "auto", text: str = "hello there", **fields: Any) -> "Reply":
        """Send a request of OpenAI's Chat Completions; `headers` among the fields are the request's."""
        headers = fields.pop("headers", None)
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        return self.call("POST", "/v1/chat/completions", body, headers=headers)

    def details(self) -> dict[str, Any]:
        """Return the details of its health."""
        details: dict[str, Any] = self.call("GET", "/health/detailed", key=None).json()
        return details

    def ready(self) -> None:
        """Wait until the gateway is ready."""
        eventually(lambda: self.call("GET", "/health/ready", key=None).status == 200, what="readiness")


class _Headers(dict[str, str]):
    """Headers of an answer. A test that expects one of another answer fails with the answer that came."""

    def __init__(self, reply: "Reply", headers: dict[str, str]) -> None:
        super().__init__((name.lower(), value) for name, value in headers.items())
        self._reply = reply

    def __missing__(self, name: str) -> str:
        raise AssertionError(
            f"no header {name} in an answer with status {self._reply.status}: {self._reply.body[:500]!r}"
        )


class Reply:
    """An answer of the gateway; names of `headers` are in lower case."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = _Headers(self, headers)
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object."""
        error: dict[str, Any] = self.json()["error"]
        return error

    @property
    def text(self) -> str:
        """The text of a whole answer of Chat Completions."""
        return str(self.json()["choices"][0]["message"]["content"])


StartProgram = Callable[..., Program]


def start_gateway(
    start: StartProgram,
    folder: Path,
    upstream: FakeUpstream,
    database_url: str,
    *arguments: str,
    key: str | None = None,
    fault: str | None = None,
    **env: str,
) -> Gateway:
    """Start a gateway on a free port; variables of `env` are added to its environment. `fault` as for a program."""
    variables = {
        "DATABASE_URL": database_url,
        "INSTANCE_ID": "gateway-1",
        "INSTANCE_AGENT_STATE_DIR": str(folder / "state"),
        "INSTANCE_AGENT_LOG_FORMAT": "json",
        "INSTANCE_AGENT_GATEWAY_DISCOVERY_SECONDS": "0",
        **env,
    }
    if "INSTANCE_AGENT_CATALOG" not in env:
        variables["INSTANCE_AGENT_CATALOG"] = os.fspath(a_catalog(folder, upstream))
    gateway = Gateway(start("instance-agent", "serve", "--port", "0", *arguments, fault=fault, **variables), key)
    gateway.ready()
    return gateway


#: An endpoint, as the documentation of the model router has it.
ENDPOINT = {
    "url": "https://api.openai.com/v1/chat/completions",
    "type": "primary",
    "weight": 1.0,
    "healthCheckUrl": "https://api.openai.com/v1/models",
}


def registered(gateway: Gateway, model_id: str, **fields: Any) -> Reply:
    """Register a model of the provider alpha, better than any of the catalog file."""
    scores = {"complexityScores": {"simple": 5, "medium": 5, "complex": 5}}
    body = {"name": model_id, "version": model_id, "provider": "alpha", **scores, **fields}
    reply = gateway.call("POST", "/api/models", body)
    assert reply.status == 201, reply.body
    return reply
