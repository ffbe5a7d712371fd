"""The start of the gateway's program while the database cannot be reached."""

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from centralcloud.contracts import CentralCloudError, SettingsError
from centralcloud.contracts.fleet_configuration import (
    ApiKey,
    FleetConfiguration,
    hash_key,
    key_prefix,
    new_key_text,
)
from centralcloud.runtime.process.shutdown import Shutdown
from centralcloud.runtime.process.systemd import ServiceManager
from instance_agent import gateway_start
from instance_agent.gateway import known_keys
from instance_agent.gateway.parts import GatewayParts
from instance_agent.gateway_program import GatewayProgram
from instance_agent.serve_command import _require_free_port
from instance_agent.settings import GatewaySettings
from instance_agent.sync.configuration_file import ReceivedConfiguration


@pytest.mark.parametrize(("patience", "warnings"), [(60.0, 0), (0.2, 1)])
def test_a_wait_for_keys_is_a_warning_only_when_the_database_does_not_come(
    patience: float, warnings: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gateway_start, "_CONTACT_SECONDS", patience)
    shutdown = Shutdown()
    settings = GatewaySettings(
        database_url="postgresql://nowhere.invalid/none", state_dir=tmp_path, gateway_address="0.0.0.0"
    )
    program = GatewayProgram(settings, shutdown)
    threading.Timer(0.5, shutdown.request).start()
    program._first_contact.wait_for_keys(ServiceManager())

    assert caplog.text.count("gateway_waits_for_keys") == warnings


@pytest.fixture
def program(tmp_path: Path) -> Iterator[GatewayProgram]:
    """One that was never started, and has no copy of an earlier run."""
    program = GatewayProgram(
        GatewaySettings(database_url="postgresql://nowhere.invalid/none", state_dir=tmp_path), Shutdown()
    )
    yield program
    program.database.close()


def with_a_key(version: int = 1) -> FleetConfiguration:
    text = new_key_text()
    prefix = str(key_prefix(text))
    key = ApiKey(id=prefix, hash=hash_key(text), role="user", label="l", created_at=datetime.now(UTC))
    return FleetConfiguration(version=version, keys={prefix: key})


def test_keys_are_not_known_until_the_state_has_them(program: GatewayProgram) -> None:
    first = program.builder.build()
    assert "the database was not reached yet" in str(program.keys.unknown(first))
    assert program.keys.unknown(first) in program.not_ready()

    # The updater has read the configuration, and the state has not followed: a client of this machine would be an admin.
    program.configuration._configuration = fleet = with_a_key()
    program.configuration._state = ReceivedConfiguration(epoch="e", version=1)
    program.configuration.reached = True
    assert program.keys.unknown(first) is not None
    program.builder.use_fleet(FleetConfiguration())
    program.builder.run_once()
    keyless = program.builder.current
    assert keyless is not None
    assert keyless.loaded
    assert program.keys.unknown(keyless) is not None

    program.builder.use_fleet(fleet)
    program.builder.run_once()
    assert program.builder.current is not None
    assert program.keys.unknown(program.builder.current) is None


def test_a_copy_without_keys_counts_after_a_contact_or_a_wait_for_one(
    program: GatewayProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.builder.use_fleet(FleetConfiguration())
    state = program.builder.build()
    assert "the copy of the last run has none" in str(program.keys.unknown(state))
    monkeypatch.setattr(known_keys, "_CONTACT_SECONDS", 0.0)
    assert program.keys.unknown(state) is None
    monkeypatch.undo()
    program.configuration.reached = True
    assert program.keys.unknown(state) is None


def test_an_older_state_never_replaces_a_newer_one(program: GatewayProgram) -> None:
    older = program.builder.build()
    program.builder.use_fleet(with_a_key())
    program.builder.run_once()
    newer = program.builder.current
    parts = SimpleNamespace(state=newer)
    GatewayParts.use(parts, older)  # type: ignore[arg-type]
    assert parts.state is newer


@pytest.mark.parametrize("found", ["missing", "folder", "no certificate"])
def test_a_file_of_certificates_that_cannot_be_used_is_one_line_before_the_start(found: str, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if found == "folder":
        file.mkdir()
    elif found == "no certificate":
        file.write_text("nothing")
    settings = GatewaySettings(database_url="postgresql://x.invalid/x", state_dir=tmp_path, gateway_ca_file=file)
    with pytest.raises(
        SettingsError, match=r"INSTANCE_AGENT_GATEWAY_CA_FILE is .*ca.pem.*expected a PEM file"
    ) as refused:
        GatewayProgram(settings, Shutdown())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("key", "warnings"), [(None, 1), ("key", 0)])
def test_a_start_without_any_provider_is_a_warning_that_names_the_variables(
    key: str | None,
    warnings: int,
    program: GatewayProgram,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    if key is not None:
        monkeypatch.setenv("GEMINI_API_KEY", key)
    program.builder.build()
    program._warn_without_providers()

    assert caplog.text.count("gateway_without_providers") == warnings
    assert caplog.text.count("ANTHROPIC_API_KEY is not set") == warnings


def test_a_port_that_is_taken_is_one_line_that_names_its_settings() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = GatewaySettings(
            database_url="postgresql://nowhere.invalid/none", gateway_port=taken.getsockname()[1]
        )
        with pytest.raises(CentralCloudError, match="in use; expected a free port: set --port or INSTANCE_AGENT_"):
            _require_free_port(settings)


@pytest.mark.parametrize("address", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_of_another_machine_is_not_taken_for_a_port_that_is_in_use(address: str) -> None:
    settings = GatewaySettings(
        database_url="postgresql://nowhere.invalid/none", gateway_address=address, gateway_port=0
    )
    with pytest.raises(
        CentralCloudError, match="; expected an address of this machine in INSTANCE_AGENT_GATEWAY_ADDRESS"
    ):
        _require_free_port(settings)
