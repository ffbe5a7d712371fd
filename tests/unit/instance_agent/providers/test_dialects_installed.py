"""Dialects by name: the built-in ones, and those of other packages."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from instance_agent.providers.installed import UnknownDialectError, dialect
from instance_agent.providers.presets import PRESETS

_PACKAGE = """
class Echo:
    name, client_protocol = "echo", None
    def chat(self, upstream, request, model): ...
    def read_answer(self, upstream, body): ...
    def read_error(self, upstream, status, headers, body, now): ...
echo, half = Echo(), object()
"""


@pytest.fixture(autouse=True)
def _third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with three entry points, one of which cannot be imported."""
    (tmp_path / "their_dialects.py").write_text(_PACKAGE)
    metadata = tmp_path / "their_dialects-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: their-dialects\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[instance_agent.dialects]\necho = their_dialects:echo\nhalf = their_dialects:half\n"
        "broken = their_missing:x\nopenai = their_dialects:echo\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    dialect.cache_clear()
    yield
    dialect.cache_clear()
    sys.modules.pop("their_dialects", None)


def test_a_package_adds_a_dialect_and_replaces_no_built_in_one() -> None:
    assert dialect("echo").name == "echo"
    assert type(dialect("openai")).__module__.startswith("instance_agent.")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nope", "found the dialect 'nope', expected one of anthropic, broken, echo, gemini, half, openai"),
        ("broken", "the dialect 'broken' cannot be loaded: No module named 'their_missing'"),
        ("half", "the dialect 'half' has no name, client_protocol, chat"),
    ],
)
def test_a_dialect_that_cannot_be_used_is_named(name: str, message: str) -> None:
    with pytest.raises(UnknownDialectError) as refused:
        dialect(name)

    assert str(refused.value).startswith(message)


def test_every_preset_has_a_dialect() -> None:
    for preset in PRESETS.values():
        assert dialect(preset.dialect).name == preset.dialect
