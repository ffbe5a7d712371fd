"""The settings of the dashboard: a start that would let in more than was meant ends with one line."""

from pathlib import Path

import pytest
from support.certificates import Authority

from centralcloud.contracts import CentralCloudError, SettingsError
from centralcloud.dashboard.settings import DashboardSettings
from centralcloud.runtime.settings import load_settings, unknown_variables
from centralcloud.settings import Settings

PREFIX = "CENTRALCLOUD_DASHBOARD_"
USERS = {"USERS_FILE": "/etc/users"}
PROXY = {"TRUSTED_PROXIES": "10.0.0.0/8, fd00::1", "PROXY_USER_HEADER": "X-Forwarded-User"}
HTTPS = {"PUBLIC_URL": "https://cc.example"}
OPERATOR = {"CENTRALCLOUD_OPERATOR_DATABASE_URL": "postgresql://o@h/d"}


def settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> DashboardSettings:
    for name, value in variables.items():
        monkeypatch.setenv(name if name.startswith("CENTRALCLOUD") else f"{PREFIX}{name}", value)
    return load_settings(DashboardSettings)


def test_the_default_serves_this_machine_without_a_login_and_without_actions(monkeypatch: pytest.MonkeyPatch) -> None:
    default = settings(monkeypatch)
    default.check_start()
    assert (default.address, default.port) == ("127.0.0.1", 8480)
    assert not default.login_to_read
    assert not default.has_login
    assert default.operator_database is None


@pytest.mark.parametrize(
    ("variables", "login_to_read"),
    [
        ({"ADDRESS": "::1"}, False),
        ({"ADDRESS": "localhost"}, False),
        (USERS, False),
        (USERS | {"READ_NEEDS_LOGIN": "true"}, True),
        (USERS | HTTPS, True),
        (USERS | HTTPS | {"ADDRESS": "0.0.0.0"}, True),
        (USERS | {"ADDRESS": "0.0.0.0", "TLS_CERTIFICATE": "a", "TLS_KEY": "b"}, True),
        (PROXY, True),
        (PROXY | {"ADDRESS": "10.0.0.2"}, True),
        (PROXY | USERS | HTTPS | {"ADDRESS": "10.0.0.2", "OPERATORS": "ada, bob"}, True),
        ({"ADDRESS": "0.0.0.0", "PUBLIC_WITHOUT_LOGIN": "true"}, False),
        (PROXY | {"PUBLIC_WITHOUT_LOGIN": "true"}, False),
        (USERS | HTTPS | {"PUBLIC_WITHOUT_LOGIN": "true", "READ_NEEDS_LOGIN": "true"}, True),
        (USERS | OPERATOR, False),
        (PROXY | OPERATOR | {"OPERATORS": "ada"}, True),
    ],
)
def test_reading_needs_a_login_wherever_others_may_come_from(
    variables: dict[str, str], login_to_read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = settings(monkeypatch, **variables)
    made.check_start()
    assert made.login_to_read is login_to_read


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"ADDRESS": "0.0.0.0"}, "found the address 0.0.0.0, but no login: set"),
        ({"ADDRESS": "dashboard.example"}, "found the address dashboard.example, but no login: set"),
        (HTTPS, "found pages for other machines, but no login: set"),
        ({"TRUSTED_PROXIES": "10.0.0.1"}, "but no login: set"),
        ({"READ_NEEDS_LOGIN": "true"}, "found CENTRALCLOUD_DASHBOARD_READ_NEEDS_LOGIN=true, but no login: set"),
        (
            USERS | HTTPS | {"ADDRESS": "0.0.0.0", "READ_NEEDS_LOGIN": "false"},
            "READ_NEEDS_LOGIN is false for pages that other machines can reach",
        ),
        (PROXY | {"READ_NEEDS_LOGIN": "false"}, "READ_NEEDS_LOGIN is false for pages that other machines can reach"),
        ({"PROXY_USER_HEADER": "X-Forwarded-User"}, "but no proxy is trusted"),
        ({"OPERATORS": "ada"}, "but no proxy names users"),
        (USERS | {"ADDRESS": "0.0.0.0"}, "found passwords over plain HTTP on the address 0.0.0.0"),
        (USERS | {"TLS_KEY": "a"}, "TLS_KEY: found one, expected both or none"),
        (OPERATOR, "CENTRALCLOUD_OPERATOR_DATABASE_URL is set, but no user may act"),
        (PROXY | OPERATOR, "CENTRALCLOUD_OPERATOR_DATABASE_URL is set, but no user may act"),
        (
            USERS | {"CENTRALCLOUD_OPERATOR_DATABASE_URL_FILE": "/nowhere"},
            "CENTRALCLOUD_OPERATOR_DATABASE_URL_FILE is '/nowhere': No such file or directory",
        ),
    ],
)
def test_a_start_that_lets_in_too_many_is_refused(
    variables: dict[str, str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = settings(monkeypatch, **variables)
    with pytest.raises(SettingsError) as refused:
        made.check_start()
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("TRUSTED_PROXIES", "10.0.0.1, proxy.example", "expected addresses or networks such as 10.0.0.5"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "expected addresses or networks"),
        ("PUBLIC_URL", "https://cc.example/", "expected the begin of the addresses that browsers use"),
        ("PUBLIC_URL", "https://CC.example", "expected the begin of the addresses"),
        ("PUBLIC_URL", "https://cc.example:443", "expected the begin of the addresses"),
        ("PUBLIC_URL", "cc.example", "expected the begin of the addresses"),
        ("PROXY_USER_HEADER", "X-User: ada", "expected the name of a header"),
        ("SESSION_SECONDS", "1", "expected at least 60"),
        ("PORT", "99999", "expected at most 65535"),
        ("READ_NEEDS_LOGIN", "perhaps", "expected true or false"),
    ],
)
def test_a_wrong_value_names_its_variable_and_what_is_expected(
    variable: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError) as refused:
        settings(monkeypatch, **{variable: value})
    assert str(refused.value).startswith(f"{PREFIX}{variable} is ")
    assert expected in str(refused.value)


def test_the_database_is_that_of_the_dashboard_before_that_of_the_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://general@h/d")
    assert settings(monkeypatch).database == "postgresql://general@h/d"
    monkeypatch.setenv("CENTRALCLOUD_DATABASE_URL", "postgresql://daemon@h/d")
    assert settings(monkeypatch).database == "postgresql://daemon@h/d"
    monkeypatch.setenv("CENTRALCLOUD_DASHBOARD_DATABASE_URL", "postgresql://reader@h/d")
    assert settings(monkeypatch).database == "postgresql://reader@h/d"


def test_the_operators_database_may_be_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://operator@h/d\n")
    made = settings(monkeypatch, CENTRALCLOUD_OPERATOR_DATABASE_URL_FILE=str(tmp_path / "url"))
    assert made.operator_database == "postgresql://operator@h/d"


def test_a_password_of_a_database_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    made = settings(monkeypatch, CENTRALCLOUD_OPERATOR_DATABASE_URL="postgresql://o:secret@h/d")
    assert "secret" not in repr(made)


def test_the_daemon_knows_the_variables_of_the_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    settings(monkeypatch, PORT="1", CENTRALCLOUD_OPERATOR_DATABASE_URL="postgresql://o@h/d", PROT="1")
    assert unknown_variables(Settings, DashboardSettings) == {f"{PREFIX}PROT": f"{PREFIX}PORT"}
    assert unknown_variables(DashboardSettings) == {f"{PREFIX}PROT": f"{PREFIX}PORT"}


def test_a_certificate_is_loaded_or_one_line_says_why_not(tmp_path: Path) -> None:
    assert DashboardSettings().load_tls() is None
    certificate, key = Authority(tmp_path).sign("server", server=True)
    assert DashboardSettings(tls_certificate=certificate, tls_key=key).load_tls() is not None
    with pytest.raises(
        CentralCloudError, match=r"cannot use the key .* found no private key in it, expected a PEM file"
    ):
        DashboardSettings(tls_certificate=certificate, tls_key=certificate).load_tls()
