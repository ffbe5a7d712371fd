"""The programs that benchmarks/gateway.py measures, each a process of its own: the gateway, its yardsticks, the upstream."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.request import Request, urlopen

import _shared  # noqa: F401 - makes the tests' support importable
import yaml
from support.commands import environment, run_command

_HERE: Final = Path(__file__).parent
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 10.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")
#: Later than the releases that carried a credential stealer.
LITELLM: Final = "litellm[proxy]>1.82.8"
MODELS: Final = 20
PROVIDERS: Final = 4


class NotStartedError(Exception):
    """A program did not start."""


@dataclass
class Running:
    """A running program.

    Attributes:
        url: of its chat completions.
        model: for requests.
        headers: for requests.
    """

    name: str
    pid: int
    url: str
    model: str = "auto"
    headers: dict[str, str] = field(default_factory=dict)

    def cpu_seconds(self) -> float:
        """Return the processor time of the process and of its children that have ended; to the nanosecond, where it can."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        user, system, *of_children = (int(each) / _TICKS for each in fields[11:15])
        threads = list(Path(f"/proc/{self.pid}/task").glob("*/schedstat"))
        if not threads:
            return user + system + sum(of_children)
        return sum(int(each.read_text().split()[0]) for each in threads) / 1e9 + sum(of_children)

    def memory_mib(self) -> float:
        """Return the resident memory."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


@contextmanager
def an_upstream() -> Iterator[Running]:
    """Start the upstream; `url` is a base URL."""
    with _printing_its_port("_fast_upstream.py") as (process, port):
        yield Running("upstream", process.pid, f"http://127.0.0.1:{port}/v1")


def set_pace(upstream: Running, wait_ms: float, gap_ms: float) -> None:
    """Set the times of the upstream's answers."""
    address = upstream.url.removesuffix("/v1") + "/pace"
    urlopen(Request(address, f"{wait_ms} {gap_ms}".encode(), method="POST"), timeout=10).close()


@contextmanager
def a_pass_through(upstream: Running) -> Iterator[Running]:
    """Start the bare pass-through."""
    with _printing_its_port("_pass_through.py", upstream.url) as (process, port):
        yield Running("pass_through", process.pid, f"http://127.0.0.1:{port}/v1/chat/completions")


def create_key(database_url: str, *options: str) -> str:
    """Create a key of the gateway, without a rate limit unless `options` say one: a new key has 1,000 requests in 15 min."""
    options = options if "--rate-limit" in options else (*options, "--rate-limit", "none")
    done = run_command(
        "instance-agent",
        *("keys", "create", "--role", "user", "--label", "benchmark", "--json", *options),
        env={"DATABASE_URL": database_url},
        cold=True,
    )
    if done.returncode:
        raise NotStartedError(f"keys create: {done.stderr.strip()}")
    return str(json.loads(done.stdout)["key"])


@contextmanager
def the_gateway(
    upstream: Running,
    database_url: str,
    key: str,
    *,
    number: int = 1,
    name: str = "gateway",
    headers: Mapping[str, str] = {},
) -> Iterator[Running]:
    """Start `instance-agent serve` with 20 models of 4 providers; key, events, metrics and the log of requests are on.

    Args:
        headers: of requests, beside the key.
    """
    models = [
        {
            "name": f"model-{place}",
            "provider": f"provider-{place % PROVIDERS}",
            "pricing": {"input": 1.0, "output": 2.0},
            "capabilities": ["vision", "function_calling"],
            "context_window": 128_000,
            "complexity_scores": {"simple": 3.0, "medium": 3.0, "complex": 3.0},
        }
        for place in range(MODELS)
    ]
    providers = [{"provider": f"provider-{place}", "base_url": upstream.url} for place in range(PROVIDERS)]
    with tempfile.TemporaryDirectory(prefix="gateway-benchmark-") as folder:
        catalog = Path(folder) / "catalog.yaml"
        catalog.write_text(yaml.safe_dump({"models": models, "providers": providers}))
        port, metrics = free_port(), free_port()
        variables = {
            "DATABASE_URL": database_url,
            "INSTANCE_ID": f"benchmark-{number}",
            "INSTANCE_AGENT_CATALOG": str(catalog),
            "INSTANCE_AGENT_STATE_DIR": f"{folder}/state",
            "INSTANCE_AGENT_GATEWAY_PORT": str(port),
            "INSTANCE_AGENT_HTTP_PORT": str(metrics),
            "INSTANCE_AGENT_GATEWAY_DISCOVERY_SECONDS": "0",
        }
        command = [Path(sys.executable).parent / "instance-agent", "serve"]
        with _process("the gateway", command, environment(**variables), f"http://127.0.0.1:{port}/health") as process:
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            yield Running(name, process.pid, url, headers={**headers, **_bearer(key)})


@contextmanager
def a_litellm_proxy(upstream: Running, venv: Path) -> Iterator[Running]:
    """Start the LiteLLM proxy with one model, one worker, no database and no logs."""
    model = {"model": "openai/bench", "api_base": upstream.url, "api_key": "sk-none"}
    config = {
        "model_list": [{"model_name": "bench", "litellm_params": model}],
        "litellm_settings": {"telemetry": False, "num_retries": 0},
    }
    with tempfile.TemporaryDirectory(prefix="litellm-benchmark-") as folder:
        path = Path(folder) / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        port = free_port()
        variables = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
        key = f"sk-{secrets.token_hex(24)}"
        variables["LITELLM_MASTER_KEY"] = key
        command = [venv / "bin/litellm", "--config", path, "--port", str(port), "--host", "127.0.0.1"]
        address = f"http://127.0.0.1:{port}"
        with _process("litellm", command, environment(**variables), f"{address}/health/liveliness") as process:
            yield Running("litellm", process.pid, f"{address}/v1/chat/completions", "bench", _bearer(key))


def litellm_version(venv: Path, *, install: bool) -> str:
    """Return the version of the LiteLLM proxy in a venv of its own; raise NotStartedError with the reason without one."""
    if not (venv / "bin/litellm").exists():
        if not install:
            raise NotStartedError(f"not installed in {venv}; --install-litellm installs it there (some 360 MB)")
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        pip = [venv / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", LITELLM]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotStartedError(f"pip cannot install it: {_last_line(done.stderr)}")
    code = "from importlib.metadata import version; print(version('litellm'))"
    return subprocess.run([venv / "bin/python", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _printing_its_port(script: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen(
        [sys.executable, _HERE / script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise NotStartedError(f"{script} ended before it listened")
        yield process, int(line)
    finally:
        _end(process)


@contextmanager
def _process(name: str, command: Any, variables: dict[str, str], health: str) -> Iterator[subprocess.Popen[str]]:
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, text=True)
        try:
            _wait_until_healthy(name, process, health, log)
            yield process
        finally:
            _end(process)


def _wait_until_healthy(name: str, process: subprocess.Popen[str], health: str, log: Any) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        if process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            how = f"ended with {process.returncode}" if process.returncode is not None else "does not answer"
            raise NotStartedError(f"{name} {how}: {_last_line(log.read())}")
        try:
            urlopen(health, timeout=2).close()
        except (URLError, OSError):
            time.sleep(0.1)
        else:
            return


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else "it printed nothing"
