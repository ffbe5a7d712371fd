"""Models, endpoints and changes of the fleet's configuration, for tests."""

from typing import Any

from centralcloud.contracts.fleet_configuration import Change, parse_endpoint, parse_model, put
from centralcloud.runtime.configuration.writing import Author, Written, change_configuration
from centralcloud.runtime.postgres.database import Database

AUTHOR = Author(who="tester", via="cli", source="test-host")


def a_model(model_id: str = "gpt-4", **fields: Any) -> Change:
    value = {"id": model_id, "name": model_id, "version": model_id, "provider": "openai", **fields}
    return put(parse_model(value))


def an_endpoint(
    model_id: str = "gpt-4", url: str = "https://api.openai.com/v1/chat/completions", **fields: Any
) -> Change:
    return put(parse_endpoint({"url": url, **fields}, model_id=model_id))


def write(database: Database, *changes: Change, expected_version: int | None = None) -> Written:
    return change_configuration(database, AUTHOR, lambda _: changes, expected_version=expected_version)
