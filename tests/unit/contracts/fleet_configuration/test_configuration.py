"""The configuration as a whole: references, unknown kinds, bounds, health that expires."""

from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest

from centralcloud.contracts import ContractError
from centralcloud.contracts.fleet_configuration import (
    HealthReport,
    ModelHealth,
    apply_changes,
    configuration,
    parse_endpoint,
    parse_health,
    parse_model,
    put,
    read_configuration,
    remove,
)

MODEL = parse_model({"name": "GPT-4", "version": "gpt-4", "provider": "openai"})
ENDPOINT = parse_endpoint({"url": "https://api.openai.com/v1"}, model_id="gpt-4")


def bodies(*changes: Any) -> dict[Any, Any]:
    return dict(apply_changes({}, changes))


def test_the_configuration_has_the_endpoints_of_each_model() -> None:
    read = read_configuration(7, bodies(put(MODEL), put(ENDPOINT)))
    assert (read.version, read.models, read.endpoints) == (7, {"gpt-4": MODEL}, {"gpt-4": (ENDPOINT,)})
    assert isinstance(read.models, MappingProxyType)


def test_an_endpoint_of_an_unknown_model_is_refused_with_the_path_of_the_field() -> None:
    with pytest.raises(ContractError) as refused:
        read_configuration(1, bodies(put(ENDPOINT)))
    found = f'endpoints["{ENDPOINT.id}"].modelId: found "gpt-4", expected the id of a registered model'
    assert str(refused.value) == found


def test_a_model_with_endpoints_cannot_be_removed_without_them() -> None:
    before = bodies(put(MODEL), put(ENDPOINT))
    with pytest.raises(ContractError, match="expected the id of a registered model"):
        read_configuration(2, apply_changes(before, [remove("model", "gpt-4")]))
    after = apply_changes(before, [remove("model", "gpt-4"), remove("endpoint", ENDPOINT.id)])
    assert read_configuration(2, after).models == {}


@pytest.mark.parametrize(
    ("key", "body", "line"),
    [
        (
            ("topic", "t-1"),
            {},
            'topic["t-1"]: found entries of this kind, expected a kind that this version knows: model',
        ),
        (("model", "m"), {"id": "m"}, 'models["m"].name: found nothing, expected a value'),
        (("model", "m"), {"id": "m", "new": 1}, 'models["m"].new: found 1, expected one of the fields'),
        (("model", "m"), {"name": "n", "version": "v", "provider": "p"}, 'models["m"].id: found "v", expected "m"'),
    ],
)
def test_an_entry_that_this_version_cannot_read_is_refused(key: Any, body: Any, line: str) -> None:
    with pytest.raises(ContractError) as refused:
        read_configuration(1, {key: body})
    assert str(refused.value).startswith(line)


def test_the_size_of_a_configuration_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    models = [parse_model({"name": "m", "version": f"m{number}", "provider": "p"}) for number in range(3)]
    monkeypatch.setattr(configuration, "MAX_ENTRIES", 2)
    with pytest.raises(ContractError, match="found 3 entries, expected at most 2"):
        read_configuration(1, bodies(*map(put, models)))
    monkeypatch.setattr(configuration, "MAX_CONFIGURATION_BYTES", 100)
    with pytest.raises(ContractError, match="bytes, expected at most 100"):
        apply_changes({}, map(put, models))


def test_health_counts_until_it_expires_and_for_known_models_only() -> None:
    health = ModelHealth(report=HealthReport(status="unhealthy"), reported_at=datetime.now(UTC), expires_at=100.0)
    read = read_configuration(1, bodies(put(MODEL))).with_health({"gpt-4": health, "gone": health})
    assert read.health_of("gpt-4", 99.9) == health
    assert read.health_of("gpt-4", 100.0) is None
    assert read.health_of("gone", 0.0) is None


def test_the_health_of_the_specification_is_read() -> None:
    seed = {"status": "healthy", "responseTime": 500, "errorRate": 0.01, "availability": 99.9}
    report, ttl = parse_health(seed)
    assert (report.status, report.response_time, report.error_rate, report.availability) == ("healthy", 500, 0.01, 99.9)
    assert ttl == 300
    assert parse_health({"status": "unhealthy", "ttlSeconds": 5})[1] == 5


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"status": "ok"}, "health.status"),
        ({}, "health.status"),
        ({"status": "healthy", "errorRate": 2}, "health.errorRate"),
        ({"status": "healthy", "ttlSeconds": 0}, "health.ttlSeconds"),
        ({"status": "healthy", "ttlSeconds": "5"}, "health.ttlSeconds"),
        ({"status": "healthy", "load": 1}, "health.load"),
    ],
)
def test_invalid_health_is_refused_with_the_path_of_the_field(value: Any, field: str) -> None:
    with pytest.raises(ContractError) as refused:
        parse_health(value)
    assert refused.value.field == field
