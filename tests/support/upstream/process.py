"""The fake upstream as a process of its own, for tests."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

_TESTS = Path(__file__).resolve().parents[2]


class FakeUpstream:
    """A running fake upstream.

    Attributes:
        url: without a path; `openai_url`, `anthropic_url` and `gemini_url` are base URLs for the dialects.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.openai_url = f"{self.url}/v1"
        self.anthropic_url = f"{self.url}/v1"
        self.gemini_url = f"{self.url}/v1beta"

    def behave(self, behaviour: str, *, times: int | None = None, model: str | None = None) -> None:
        """Order a misbehaviour for the next `times` requests (None: all) of `model` (None: any)."""
        self._control("behave", {"behaviour": behaviour, "times": times, "model": model})

    def release(self) -> None:
        """Let the requests that are held go on."""
        self._control("release", {})

    def reset(self) -> None:
        """Forget the record and the orders."""
        self._control("reset", {})

    def state(self) -> dict[str, Any]:
        """Return counts, open requests and the last requests."""
        with urlopen(f"{self.url}/control/state", timeout=10) as answer:
            return json.load(answer)  # type: ignore[no-any-return]

    def requests(self, model: str | None = None) -> list[dict[str, Any]]:
        """Return the last requests, oldest first: method, path, headers, body, model, ended, seconds."""
        return [each for each in self.state()["requests"] if model in (None, each["model"])]

    def last_body(self) -> dict[str, Any]:
        """Return the body of the last request."""
        return json.loads(self.requests()[-1]["body"])  # type: ignore[no-any-return]

    def _control(self, operation: str, body: dict[str, Any]) -> None:
        request = Request(
            f"{self.url}/control/{operation}", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urlopen(request, timeout=10) as answer:
            answer.read()


@contextmanager
def a_fake_upstream() -> Iterator[FakeUpstream]:
    """Start a fake upstream on a free port, and end it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "support.upstream", "--until-stdin-closes"],
        env={**os.environ, "PYTHONPATH": str(_TESTS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, "the fake upstream ended before it listened"
        yield FakeUpstream(json.loads(line)["port"])
    finally:
        process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
