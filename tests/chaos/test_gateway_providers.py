"""Providers that die, hang, trickle and lie, one of three at a time: clients get their answers from the other two."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
from support.gateways import UPSTREAM_KEY, Gateway, Reply, a_key, start_gateway
from support.ports import free_port
from support.programs import Program
from support.servers import execute
from support.upstream.process import FakeUpstream, a_fake_upstream
from support.waiting import eventually

_DIALECTS = ("openai", "anthropic", "gemini")
_GONE = "gone"
_ANY = (
    _GONE, "reset", "hang", "slow-headers=30", "status=500", "status=502", "status=503", "status=503+retry-after=5",
    "status=504", "status=529", "status=408", "status=429", "status=429+retry-after=7", "html", "not-http", "empty-body",
    "error-in-200", "bad-gzip",
)  # fmt: skip
_PLAIN = ("invalid-json", "cut-answer")
_STREAM = ("slow-first-token=30", "error-first-event", "role-then-error", "hang-in-stream=0", "die=0")
_SLOWEST_SECONDS = 5.0
_ATTEMPTS = 3
_EVENTS = "SELECT count(*), max((message #>> '{routing_decision,attempt}')::int) FROM pgmq.q_model_routing_decisions"


class Group(NamedTuple):
    """Three models that requests with one capability may use. The best one misbehaves, at a provider of this dialect."""

    behaviour: str
    dialect: str
    stream: bool

    @property
    def capability(self) -> str:
        """The name that only the models of this group have."""
        word = "".join(each if each.isalnum() else "_" for each in self.behaviour)
        return f"{word}_{self.dialect}_{'stream' if self.stream else 'plain'}"


class Asked(NamedTuple):
    """One request of a group, its answer, and how long it took."""

    group: Group
    reply: Reply
    seconds: float


_ALL = [
    *(Group(behaviour, dialect, False) for behaviour in (*_ANY, *_PLAIN) for dialect in _DIALECTS),
    *(Group(behaviour, dialect, True) for behaviour in (*_ANY, *_STREAM) for dialect in _DIALECTS),
]
#: Each behaviour once, plain and as a stream.
_SOME = [_ALL[3 * nth + nth % 3] for nth in range(len(_ALL) // 3)]


def a_catalog_of(groups: Sequence[Group], folder: Path, upstream: FakeUpstream) -> Path:
    """Write three providers and three models for each group; each provider has a breaker of its own, by its key."""
    urls = {"openai": upstream.openai_url, "anthropic": upstream.anthropic_url, "gemini": upstream.gemini_url}
    closed = f"http://127.0.0.1:{free_port()}"
    providers, models = [], []
    for number, group in enumerate(groups):
        first = _DIALECTS.index(group.dialect)
        for place, dialect in enumerate(_DIALECTS[first:] + _DIALECTS[:first]):
            name = f"p{number}-{place}"
            key = folder / name
            key.write_text(f"{UPSTREAM_KEY}-{name}")
            key.chmod(0o600)
            bad = place == 0
            url = closed if bad and group.behaviour == _GONE else urls[dialect]
            sent_as = f"m!{group.behaviour}" if bad and group.behaviour != _GONE else "m"
            providers.append(f'{{provider: {name}, dialect: {dialect}, base_url: "{url}", api_key: "file:{key}"}}')
            scores = ", ".join(f"{level}: {5 - place}" for level in ("simple", "medium", "complex"))
            models.append(
                f'{{name: {name}, provider: {name}, version: "{sent_as}", capabilities: [{group.capability}], '
                f"complexity_scores: {{{scores}}}, "
                "time_limits: {connect_seconds: 1, first_byte_seconds: 1, idle_seconds: 1, total_seconds: 3}}"
            )
    file = folder / "catalog.yaml"
    file.write_text("\n".join(["providers:", *(f"- {each}" for each in providers), "models:"]) + "\n")
    with file.open("a") as catalog:
        catalog.writelines(f"- {each}\n" for each in models)
    return file


def ask(gateway: Gateway, group: Group) -> Asked:
    began = time.monotonic()
    headers = {"x-centralcloud-capabilities": group.capability}
    reply = gateway.chat(headers=headers, **({"stream": True} if group.stream else {}))
    return Asked(group, reply, time.monotonic() - began)


@pytest.mark.parametrize(
    ("groups", "rounds"),
    [pytest.param(_SOME, 1, id="some"), pytest.param(_ALL, 30, id="all", marks=pytest.mark.soak)],
)
def test_a_provider_that_misbehaves_fails_no_request_while_two_are_healthy(
    start: Callable[..., Program], tmp_path: Path, database_url: str, groups: list[Group], rounds: int
) -> None:
    key = a_key(database_url)

    with a_fake_upstream() as upstream, ThreadPoolExecutor(32) as threads:
        catalog = str(a_catalog_of(groups, tmp_path, upstream))
        gateway = start_gateway(start, tmp_path, upstream, database_url, key=key, INSTANCE_AGENT_CATALOG=catalog)
        asked: list[Asked] = []
        for at_once in (5, 2) * rounds:
            asked += threads.map(partial(ask, gateway), groups * at_once)

    failed = [(each.group, each.reply.status, each.reply.body[:200]) for each in asked if each.reply.status != 200]
    assert failed == []
    cut = [each.group for each in asked if each.group.stream and not each.reply.body.endswith(b"data: [DONE]\n\n")]
    assert cut == []
    slow = [(each.group, round(each.seconds, 1)) for each in asked if each.seconds > _SLOWEST_SECONDS]
    assert slow == []
    spared = {each.group for each in asked if each.reply.headers["x-centralcloud-reason"] != "fallback"}
    assert set(groups) - spared == set(), "a provider that fails again and again is left alone"
    eventually(lambda: execute(database_url, _EVENTS)[0][0] >= 2 * len(asked), what="the events of every request")
    assert execute(database_url, _EVENTS)[0][1] in range(2, _ATTEMPTS + 1)
