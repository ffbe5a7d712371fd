"""Models in their wire form: the example of the specification, and one line that names the path for everything else."""

from typing import Any

import msgspec
import pytest

from centralcloud.contracts import ContractError
from centralcloud.contracts.fleet_configuration import canonical_json, parse_model, to_body

SEED: dict[str, Any] = {
    "name": "GPT-4 Turbo",
    "version": "gpt-4-1106-preview",
    "provider": "openai",
    "modelType": "chat",
    "capabilities": [{"type": "text-generation", "maxTokens": 4096}],
    "parameters": {"temperature": 0.7, "maxTokens": 4096},
    "status": "active",
    "tags": ["gpt-4", "high-quality", "reasoning"],
}
EXTENDED: dict[str, Any] = {
    **SEED,
    "id": "qwen/qwen3-30b-a3b-2507",
    "pricing": {"input": 10, "output": 30.5, "cachedInput": 2.5},
    "contextWindow": 128_000,
    "maxOutputTokens": 4096,
    "complexityScores": {"simple": 2.5, "complex": 4},
}


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_the_version_is_the_id_when_the_json_has_none() -> None:
    assert parse_model(SEED).id == "gpt-4-1106-preview"
    assert parse_model(EXTENDED).id == "qwen/qwen3-30b-a3b-2507"


def test_the_json_form_has_everything_that_was_posted_and_the_defaults() -> None:
    assert to_body(parse_model(SEED)) == {**SEED, "id": "gpt-4-1106-preview", "complexityScores": {}}
    body = to_body(parse_model({"name": "m", "version": "v", "provider": "p"}))
    assert body["status"] == "active"
    assert "pricing" not in body


def test_the_json_form_is_read_again_to_the_same_model_and_the_same_bytes() -> None:
    model = parse_model(EXTENDED)
    body = to_body(model)
    again = parse_model(msgspec.json.decode(canonical_json(body)))
    assert again == model
    assert canonical_json(to_body(again)) == canonical_json(body)


def test_names_are_trimmed_and_normalized() -> None:
    model = parse_model({**SEED, "name": " GPT ", "provider": "e\u0301"})
    assert (model.name, model.provider) == ("GPT", "\u00e9")


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"colour": "red"}, 'model.colour: found "red", expected one of the fields id, name, version, provider, '),
        ({"capabilities": [{"type": "a", "maxTokns": 1}]}, "model.capabilities[0].maxTokns: found 1, expected a field"),
        ({"capabilities": [{"maxTokens": 1}]}, "model.capabilities[0].type: found nothing, expected a value"),
        ({"capabilities": [{"type": "a", "maxTokens": 0}]}, "model.capabilities[0].maxTokens: found 0, expected a whole "),
        ({"capabilities": ["vision"]}, 'model.capabilities[0]: found "vision", expected an object'),
        ({"capabilities": {}}, "model.capabilities: found an object of 0 keys, expected a list"),
        ({"status": "retired"}, 'model.status: found "retired", expected'),
        ({"pricing": {"input": -1, "output": 1}}, "model.pricing.input: found -1, expected a number >= 0"),
        ({"pricing": {"input": 1}}, "model.pricing.output: found nothing, expected a value"),
        ({"complexityScores": {"hard": 1}}, "model.complexityScores.hard: found 1, expected a field"),
        ({"complexityScores": {"simple": 5.1}}, "model.complexityScores.simple: found 5.1, expected a number <= 5.0"),
        ({"contextWindow": "8k"}, 'model.contextWindow: found "8k", expected a whole number'),
        ({"name": 5}, "model.name: found 5, expected a string"),
        ({"name": "a\nb"}, 'model.name: found "a\\nb", expected 1 to 512 characters'),
        ({"tags": ["ok", "\u202e"]}, 'model.tags[1]: found "\\u202e", expected'),
        ({"tags": ["x"] * 101}, "model.tags: found 101 items, expected at most 100"),
        ({"parameters": {"stop": "\0"}}, "model: found a zero character, expected text without it"),
        ({"parameters": {"stop": "x" * 70_000}}, "model: found 70,"),
        ({"parameters": {"nested": _nested(40)}}, "model: found JSON that is nested too deeply, expected at most 32 levels"),
        ({"parameters": {"nested": _nested(5000)}}, "model: found "),
        ({"parameters": {"seed": 10**4400}}, "model: found a value that has no JSON form ("),
        ({"id": "batch"}, 'model.id: found "batch", expected another id: this one is reserved'),
        ({"id": "auto:complex"}, 'model.id: found "auto:complex", expected another id'),
        ({"version": "batch"}, 'model.id: found "batch", expected another id'),
    ],
)  # fmt: skip
def test_an_invalid_field_is_named_with_its_path(changed: dict[str, Any], line: str) -> None:
    with pytest.raises(ContractError) as refused:
        parse_model({**SEED, **changed})
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [None, 5, "x", [], [SEED]])
def test_a_model_that_is_not_an_object_is_refused(value: Any) -> None:
    with pytest.raises(ContractError, match=r"^model: found .*, expected an object$"):
        parse_model(value)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ContractError, match=r"^model\.provider: found nothing, expected a value"):
        parse_model({"name": "n", "version": "v"})
