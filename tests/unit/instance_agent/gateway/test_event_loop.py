"""The event loop of the gateway."""

import logging
import sys

import pytest
import uvloop

from instance_agent.gateway.server import event_loop


def test_it_is_that_of_uvloop_unless_the_setting_is_asyncio() -> None:
    assert event_loop("uvloop") is uvloop.new_event_loop
    assert event_loop("asyncio") is None


def test_without_uvloop_it_is_that_of_asyncio_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with caplog.at_level(logging.WARNING):
        assert event_loop("uvloop") is None
    assert len(caplog.records) == 1
    assert "uvloop_not_loaded" in caplog.records[0].getMessage()
