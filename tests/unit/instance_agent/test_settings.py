"""The names that an instance sends are those that ingest reads: trimmed, NFC, without control characters."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from centralcloud.contracts import SettingsError
from centralcloud.runtime.settings import load_settings
from instance_agent.catalog.catalog_file import read_catalog_file
from instance_agent.settings import AgentSettings, GatewaySettings


def test_an_instance_id_is_the_one_that_ingest_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSTANCE_ID", " cafe\u0301-1\n")
    assert load_settings(AgentSettings).instance_id == "café-1"


@pytest.mark.parametrize("instance_id", ["edge\x1b[2J", "edge\n1", "edge\u202e", "  "])
def test_an_instance_id_that_ingest_would_refuse_ends_the_start(
    monkeypatch: pytest.MonkeyPatch, instance_id: str
) -> None:
    monkeypatch.setenv("INSTANCE_ID", instance_id)
    with pytest.raises(SettingsError, match=r"INSTANCE_ID is .*: expected an id without control"):
        load_settings(AgentSettings)


def _catalog(tmp_path: Path, name: str) -> Path:
    path = tmp_path / "catalog.yaml"
    path.write_text(f'models: [{{name: "{name}", provider: "acme ", complexity_scores: {{simple: 2}}}}]', "utf-8")
    return path


def test_a_model_of_the_catalog_has_the_name_that_its_learned_scores_have(tmp_path: Path) -> None:
    (model,) = read_catalog_file(_catalog(tmp_path, " cafe\u0301 "))
    assert (model.name, model.provider) == ("café", "acme")
    (longest,) = read_catalog_file(_catalog(tmp_path, "m" * 512))
    assert len(longest.name) == 512


@pytest.mark.parametrize("name", ["gpt\\e[2J", "gpt\\n4o", "\u6a21" * 301])
def test_a_name_that_ingest_would_refuse_is_refused_in_the_catalog(tmp_path: Path, name: str) -> None:
    expected = "models[0].name: found"
    with pytest.raises(SettingsError, match=re.escape(expected)) as refused:
        read_catalog_file(_catalog(tmp_path, name))
    assert "expected a name without control, bidirectional or invisible characters" in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "text",
    ["https://a.example/", "foo", "*, https://a.example", "https://A.example", "https://a.example:443", "http://a/b"],
)
def test_an_origin_that_no_browser_sends_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match=r"expected \* alone, or origins such as"):
        GatewaySettings(gateway_cors_origins=text)


def test_origins_as_browsers_send_them_are_accepted() -> None:
    for text in ("", "*", "https://a.example, http://localhost:5173,", "http://[::1]:8080", "chrome-extension://abc"):
        GatewaySettings(gateway_cors_origins=text)
