"""The page about the dashboard for others: its commands work as printed, and its proxy lets in whom it says."""

import re
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict
from support.pages import Terminal, missing_lines, shell_blocks
from support.repository import REPOSITORY

from centralcloud.dashboard.security.front import front_of, refusal_of_origin
from centralcloud.dashboard.security.users_file import read_users
from centralcloud.dashboard.settings import DashboardSettings
from centralcloud.runtime.settings import load_settings

_PAGE = REPOSITORY / "docs/how-to/dashboard-behind-a-proxy.md"


def settings_of(block: str, monkeypatch: pytest.MonkeyPatch) -> DashboardSettings:
    for name, value in re.findall(r"^(CENTRALCLOUD_\w+)=(.*)$", block, re.MULTILINE):
        monkeypatch.setenv(name, value)
    settings = load_settings(DashboardSettings)
    settings.check_start()
    return settings


def test_the_commands_make_a_file_of_users(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, {})
    (block,) = shell_blocks(_PAGE)
    printed = terminal.run(block)
    assert not missing_lines(block.shown, printed), printed
    users = read_users(tmp_path / "dashboard-users")
    assert users["ada"].password.matches((tmp_path / "ada.password").read_text().strip())


def test_each_example_of_settings_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"^```\n(CENTRALCLOUD_DASHBOARD.*?)^```", _PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    for block, users in zip(blocks, ("/etc/users", "/etc/users", None), strict=True):
        with monkeypatch.context() as environment:
            if users:
                environment.setenv("CENTRALCLOUD_DASHBOARD_USERS_FILE", users)
            assert settings_of(block, environment).login_to_read


def test_with_the_operators_database_of_the_page_operators_act(monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"<!-- actions -->\n```\n(.*?)^```", _PAGE.read_text(), re.DOTALL | re.MULTILINE)
    monkeypatch.setenv("CENTRALCLOUD_DASHBOARD_USERS_FILE", "/etc/users")
    assert settings_of(block, monkeypatch).operator_database == block.partition("=")[2].strip()


def test_a_request_through_the_proxy_of_the_page_names_its_user_and_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    page = _PAGE.read_text()
    (block,) = re.findall(r"<!-- settings -->\n```\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    settings = settings_of(block, monkeypatch)
    location = page.split("location / {")[1].split("}")[0]
    variables: dict[str, Any] = {
        "$host": "centralcloud.example", "$scheme": "https", "$email": "ada@example.org",
        "$proxy_add_x_forwarded_for": "1.1.1.1, 203.0.113.5", "$http_upgrade": "", "$connection_upgrade": "close",
    }  # fmt: skip
    sent = {name: variables[value] for name, value in re.findall(r"proxy_set_header (\S+) (\S+);", location)}
    headers = CIMultiDict({"Origin": "https://centralcloud.example", "X-Forwarded-User": "eve"} | sent)
    front = front_of(headers, "127.0.0.1", settings)
    assert (front.problem, front.trusted, front.secure) == (None, True, True)
    assert front.client == "203.0.113.5"
    assert refusal_of_origin(headers, front) is None
    assert headers.getall(settings.proxy_user_header) == ["ada@example.org"]
    assert "ada@example.org" in settings.operator_names
