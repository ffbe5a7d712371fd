"""Settings: stable names, and one line for an invalid value."""

import os
import socket
from decimal import Decimal
from pathlib import Path

import pytest

from centralcloud.contracts import SettingsError
from centralcloud.runtime.settings import load_settings, unknown_variables
from centralcloud.settings import Settings
from instance_agent.settings import AgentSettings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "CENTRALCLOUD_DATABASE_URL", "INSTANCE_AGENT_DATABASE_URL", "INSTANCE_ID"):
        monkeypatch.delenv(name, raising=False)


def test_the_defaults_are_the_specifications(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(Settings)
    assert (settings.poll_interval_seconds, settings.learn_interval_seconds, settings.http_port) == (5, 60, 0)
    constants = settings.rules[0].settings
    assert (constants.min_samples, constants.success_rate, constants.slow_response_ms) == (100, Decimal("0.95"), 2000)
    agent = load_settings(AgentSettings)
    assert agent.instance_id == socket.gethostname()
    assert (agent.poll_interval_seconds, agent.exploration, agent.selection) == (10, 0, "auto")
    assert (agent.ignore_learned, agent.pgmq_enabled) == (False, True)


@pytest.mark.parametrize(
    ("settings_class", "own"), [(Settings, "CENTRALCLOUD_DATABASE_URL"), (AgentSettings, "INSTANCE_AGENT_DATABASE_URL")]
)
def test_a_programs_own_database_url_wins(monkeypatch: pytest.MonkeyPatch, settings_class: type, own: str) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://shared/db")
    assert load_settings(settings_class).database == "postgresql://shared/db"
    monkeypatch.setenv(own, "postgresql://own/db")
    assert load_settings(settings_class).database == "postgresql://own/db"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h:5433/db?sslmode=require&connect_timeout=3",
        "postgresql://u@/db?host=/var/run/postgresql",
        "postgresql:///db?options=-csearch_path%3Dpublic",
        "host=/tmp dbname=db user=u",
        "host=/tmp/a@b dbname=db",
        "postgresql://u:p%40ss%2Fword@h1:5432,h2,[::1]:5433/db",
        "postgresql://@abstract/db",
        "embedded:",
        "embedded:/a/folder",
    ],
)
def test_libpq_uris_and_embedded_are_accepted(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert load_settings(Settings).database == url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter@2secret@h:5432/db",
        "postgresql://u:hunter@2secret:1@h:5432/db",
        "postgresql://u:hunter/2secret@h:5432/db",
        "postgresql://u:hunter%2secret%@h:5432/db",
        "host=h port=hunter2secret",
        "postgresql://u:hunter2secret@h:70000/db",
        "postgresql://u:hunter2secret@h/db?connect_timeout=abc",
    ],
)
def test_a_url_that_could_never_work_is_refused_without_repeating_it(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The rest of a password after an @ would be read as the host, and appear in every message about the connection."""
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SettingsError, match="written %40") as refused:
        load_settings(Settings)
    assert "secret" not in str(refused.value)
    assert "hunter" not in str(refused.value)


def test_without_a_database_the_line_names_both_ways() -> None:
    with pytest.raises(SettingsError) as refused:
        _ = load_settings(Settings).database
    assert "postgresql://" in str(refused.value)
    assert "embedded:" in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("value", ["mysql://u:s3cret@h/db", "postgresql://u:s3cret@[h/db", "s3cret"])
def test_a_wrong_database_url_is_refused_without_repeating_it(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DATABASE_URL", value)
    with pytest.raises(SettingsError, match="DATABASE_URL is not a usable database URL") as refused:
        load_settings(Settings)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("settings_class", "variable"),
    [
        (Settings, "DATABASE_URL_FILE"),
        (Settings, "CENTRALCLOUD_DATABASE_URL_FILE"),
        (AgentSettings, "INSTANCE_AGENT_DATABASE_URL_FILE"),
    ],
)
def test_the_url_may_be_in_a_file_and_the_environment_wins_over_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings_class: type, variable: str
) -> None:
    (tmp_path / "url").write_text("postgresql://u:s3cret@h/db\n")
    monkeypatch.setenv(variable, str(tmp_path / "url"))
    assert load_settings(settings_class).database == "postgresql://u:s3cret@h/db"
    monkeypatch.setenv("DATABASE_URL", "postgresql://environment/db")
    assert load_settings(settings_class).database == "postgresql://environment/db"


@pytest.mark.parametrize("content", [None, "", "s3cret"])
def test_a_file_that_names_no_database_is_refused_without_repeating_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "url"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("DATABASE_URL_FILE", str(file))
    with pytest.raises(SettingsError, match=rf"^DATABASE_URL_FILE is '{file}'") as refused:
        _ = load_settings(Settings).database
    assert "s3cret" not in str(refused.value)


def test_the_error_names_the_invalid_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://h/db")
    monkeypatch.setenv("CENTRALCLOUD_DATABASE_URL", "nonsense")
    with pytest.raises(SettingsError, match=r"^CENTRALCLOUD_DATABASE_URL is not a usable database"):
        load_settings(Settings)


def test_a_password_is_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:s3cret@h/db")
    assert "s3cret" not in repr(load_settings(Settings))
    assert "s3cret" not in repr(load_settings(AgentSettings))


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("CENTRALCLOUD_BATCH_SIZE", "many", "expected a whole number"),
        ("CENTRALCLOUD_BATCH_SIZE", "0", "expected at least 1"),
        ("CENTRALCLOUD_POLL_INTERVAL_SECONDS", "-1", "expected at least 0.01"),
        ("CENTRALCLOUD_HTTP_PORT", "70000", "expected at most 65535"),
        ("CENTRALCLOUD_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("CENTRALCLOUD_THRESHOLD_SUCCESS_RATE", "95", "expected at most 1"),
        ("CENTRALCLOUD_THRESHOLD_LOW_SUCCESS_RATE", "0.99", "at most 0.95"),
        ("CENTRALCLOUD_THRESHOLD_FAST_RESPONSE_MS", "3000", "at most 2000"),
        ("INSTANCE_AGENT_EXPLORATION", "1.5", "expected at most 1"),
        ("INSTANCE_AGENT_IGNORE_LEARNED", "perhaps", "expected true or false"),
        ("EX_LLM_PGMQ_ENABLED", "perhaps", "expected true or false"),
        ("INSTANCE_ID", "i" * 201, "200 characters"),
    ],
)
def test_a_wrong_value_is_one_line_with_the_variable_the_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as refused:
        load_settings(AgentSettings if not variable.startswith("CENTRALCLOUD") else Settings)
    line = str(refused.value)
    assert line.startswith(f"{variable} is ")
    assert value in line
    assert expected in line
    assert "\n" not in line


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CENTRALCLOUD_BATCH_SIZE", "")
    assert load_settings(Settings).batch_size == 2500


@pytest.mark.parametrize(
    ("settings_class", "mistyped", "meant"),
    [
        (Settings, "CENTRALCLOUD_CONSUMER", "CENTRALCLOUD_CONSUMERS"),
        (Settings, "CENTRALCLOUD_LEARN_INTERVAL", "CENTRALCLOUD_LEARN_INTERVAL_SECONDS"),
        (Settings, "CENTRALCLOUD_COLOUR", None),
        (AgentSettings, "INSTANCE_AGENT_POLL_SECONDS", "INSTANCE_AGENT_POLL_INTERVAL_SECONDS"),
    ],
)
def test_a_mistyped_setting_is_distinguished_from_existing_ones(
    monkeypatch: pytest.MonkeyPatch, settings_class: type, mistyped: str, meant: str | None
) -> None:
    for name in ("CENTRALCLOUD_CONSUMERS", "CENTRALCLOUD_DATABASE_URL", "INSTANCE_AGENT_CATALOG", "INSTANCE_ID"):
        monkeypatch.setenv(name, "1")
    for name in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8080_TCP_ADDR"):
        monkeypatch.setenv(f"CENTRALCLOUD_{name}", "set by Kubernetes beside a service named centralcloud")
    assert unknown_variables(settings_class) == {}
    monkeypatch.setenv(mistyped, "1")
    assert unknown_variables(settings_class) == {mistyped: meant}


@pytest.mark.parametrize("blank", ["\n", " ", "\r\n", "\ufeff", "\u00a0"])
def test_white_space_around_a_url_is_removed(monkeypatch: pytest.MonkeyPatch, blank: str) -> None:
    """As an editor, a copy from a page, or a file behind an env variable leaves it."""
    monkeypatch.setenv("DATABASE_URL", f"{blank}postgresql://u@h/db{blank}")
    assert load_settings(Settings).database == "postgresql://u@h/db"


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("'postgresql://u:s3cret@h/db'", "it is in quotes: remove them"),
        ('"postgresql://u:s3cret@h/db"', "it is in quotes: remove them"),
        ("psql 'postgresql://u:s3cret@h/db'", "it is a command: remove psql"),
        ("DATABASE_URL=postgresql://u:s3cret@h/db", "it begins with DATABASE_URL=: remove that"),
        ("postgresql+psycopg://u:s3cret@h/db", "+psycopg names a driver of SQLAlchemy: write postgresql:// without it"),
        ("postgres+asyncpg://u:s3cret@h/db", "+asyncpg names a driver of SQLAlchemy"),
        ("jdbc:postgresql://h/db?password=s3cret", "it is a JDBC URL"),
        ("mysql://u:s3cret@h/db", "it begins with mysql://: expected postgresql://"),
        ("postgresql:/u:s3cret@h/db", "without two slashes"),
        ("postgresql://u:s3cret@h/db name", "it has white space in the middle"),
        ("postgresql://u:s3cret@h/db?schema=app", "schema is a parameter of another library"),
        ("postgresql://u:s3cret@h/db?pgbouncer=true", "poolers in transaction mode work without it"),
        ("postgresql://u:s3cret@h/db?connection_limit=1", "CentralCloud knows how many connections it needs"),
        ("postgresql://u:s3cret@h/db?sslmod=require", "libpq does not know its parameter sslmod"),
        ("postgresql://u:s3cret@h/db?sslmode=no-verify", "its sslmode is not one of disable, allow"),
    ],
)
def test_a_common_mistake_in_a_url_is_named(monkeypatch: pytest.MonkeyPatch, url: str, named: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SettingsError) as refused:
        load_settings(Settings)
    line = str(refused.value)
    assert line.startswith("DATABASE_URL is not a usable database URL: ")
    assert named in line
    assert "s3cret" not in line
    assert "\n" not in line


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user that does not exist")
def test_without_home_and_name_the_line_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs with an id of its own."""
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    settings = load_settings(AgentSettings)
    before = os.geteuid()
    os.seteuid(4242)
    real = os.getuid
    monkeypatch.setattr(os, "getuid", os.geteuid)
    try:
        with pytest.raises(SettingsError) as refused:
            _ = settings.state_folder
    finally:
        monkeypatch.setattr(os, "getuid", real)
        os.seteuid(before)
    assert str(refused.value).startswith(
        "INSTANCE_AGENT_STATE_DIR is not set, and uid 4242 has no home folder: set it to "
    )


def test_the_metrics_folder_of_another_program_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from centralcloud.runtime.commands.cli import ignore_variables_of_others

    for name in ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"):
        monkeypatch.setenv(name, str(tmp_path / "gone"))
    ignore_variables_of_others()
    assert not [name for name in os.environ if name.lower() == "prometheus_multiproc_dir"]
