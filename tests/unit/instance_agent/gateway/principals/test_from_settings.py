"""Settings of tokens and certificates: all that belong together or none, and one line for what is missing."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from support.issuer import AUDIENCE, ISSUER, SigningKey

from centralcloud.contracts import SettingsError
from centralcloud.runtime.postgres.database import Database
from instance_agent.gateway.principals.from_settings import make_certificates, make_outside, make_token_keys
from instance_agent.settings import GatewaySettings

DATABASE = Database("postgresql://nowhere.invalid/none", application_name="tests")


def settings(**fields: Any) -> GatewaySettings:
    return GatewaySettings(database_url="postgresql://nowhere.invalid/none", **fields)


def for_tokens(folder: Path) -> dict[str, Any]:
    file = folder / "jwks.json"
    file.write_text(json.dumps({"keys": [SigningKey("e", "ES256").jwk()]}))
    return {"gateway_jwt_jwks": str(file), "gateway_jwt_issuer": ISSUER, "gateway_jwt_audience": AUDIENCE}


def test_without_settings_there_are_keys_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jwt", None)  # it cannot be imported
    assert make_certificates(settings()) is None
    assert make_token_keys(settings(), DATABASE) is None
    assert make_outside(settings(), None, None) is None


@pytest.mark.parametrize("missing", ["jwks", "issuer", "audience"])
def test_tokens_need_three_settings(tmp_path: Path, missing: str) -> None:
    some = for_tokens(tmp_path) | {f"gateway_jwt_{missing}": ""}
    with pytest.raises(SettingsError, match=f"INSTANCE_AGENT_GATEWAY_JWT_{missing.upper()} is not set, expected all"):
        make_token_keys(settings(**some), DATABASE)


def test_a_missing_extra_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "centralcloud.runtime.extras.find_spec", lambda name: None if name == "jwt" else find_spec(name)
    )
    with pytest.raises(SettingsError) as refused:
        make_token_keys(settings(**for_tokens(tmp_path)), DATABASE)
    assert str(refused.value) == (
        "INSTANCE_AGENT_GATEWAY_JWT_JWKS needs the extra \"jwt\": pip install 'centralcloud[jwt]'"
    )


def test_certificates_of_clients_need_both_files(tmp_path: Path) -> None:
    for one in ("gateway_client_ca_file", "gateway_client_principals"):
        with pytest.raises(SettingsError, match="found one, expected both or none"):
            make_certificates(settings(**{one: tmp_path / "file"}))


@pytest.mark.parametrize("algorithms", ["HS256", "none", "RS256,HS512", "", "rs256"])
def test_an_algorithm_of_a_shared_secret_or_of_none_is_refused(algorithms: str) -> None:
    with pytest.raises(ValidationError, match="expected one or more of RS256, ES256, EdDSA"):
        settings(gateway_jwt_algorithms=algorithms)
    assert settings(gateway_jwt_algorithms="EdDSA, ES256").gateway_jwt_algorithms == "EdDSA,ES256"


def test_tokens_of_the_settings_are_verified(tmp_path: Path) -> None:
    chosen = settings(**for_tokens(tmp_path))
    keys = make_token_keys(chosen, DATABASE)
    assert keys is not None
    assert list(keys.current()) == ["e"]
    assert make_outside(chosen, keys, None) is not None
