"""The start of the gateway's program while the database cannot be reached."""

import threading
from pathlib import Path

import pytest

from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.process.systemd import ServiceManager
from instance_agent import gateway_program
from instance_agent.gateway_program import GatewayProgram
from instance_agent.settings import GatewaySettings


@pytest.mark.parametrize(("patience", "warnings"), [(60.0, 0), (0.2, 1)])
def test_a_wait_for_keys_is_a_warning_only_when_the_database_does_not_come(
    patience: float, warnings: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gateway_program, "_CONTACT_SECONDS", patience)
    shutdown = Shutdown()
    settings = GatewaySettings(
        database_url="postgresql://nowhere.invalid/none", state_dir=tmp_path, gateway_address="0.0.0.0"
    )
    program = GatewayProgram(settings, shutdown)
    threading.Timer(0.5, shutdown.request).start()
    program._wait_for_keys(ServiceManager())

    assert caplog.text.count("gateway_waits_for_keys") == warnings
