"""docs/reference/translated-chats.md names every loss and every refused field that the code knows."""

import re

import pytest
from support.repository import REPOSITORY

from instance_agent.chat import anthropic_request, openai_request

_PAGE = (REPOSITORY / "docs/reference/translated-chats.md").read_text()
_LOSS = re.compile(r"losses\.(?:add|append)\(\s*f?\"([^\"{]+)")
_SOURCES = [
    *(REPOSITORY / "instance_agent/chat").rglob("*.py"),
    *(REPOSITORY / "instance_agent/providers").rglob("*.py"),
]
LOSSES = sorted({loss.strip() for source in _SOURCES for loss in _LOSS.findall(source.read_text())})


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_is_documented(loss: str) -> None:
    assert f"`{loss}" in _PAGE


@pytest.mark.parametrize("field", [*openai_request._REFUSED, *anthropic_request._REFUSED])
def test_a_refused_field_is_documented(field: str) -> None:
    assert f"`{field}`" in _PAGE


def test_the_losses_were_found() -> None:
    assert len(LOSSES) > 12
