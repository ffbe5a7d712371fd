"""The catalog: the form of the YAML, one line for an invalid value, and learned scores in place of configured ones."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.repository import REPOSITORY

from centralcloud.contracts import SettingsError
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.catalog_file import read_catalog_file
from instance_agent.catalog.learned_scores import LearnedScore, LearnedScores
from instance_agent.catalog.learned_scores_file import LearnedScoresFile

YAML = """
models:
  - name: gpt-4o
    provider: openai
    capabilities: [vision, function_calling]
    context_window: 128000
    max_output_tokens: 16384
    pricing: {input: 2.5, output: 10}
    complexity_scores: {simple: 4.0, medium: 4.5, complex: 4.8}
  - name: llama
    provider: local
    pricing: {input: 0, output: 0}
    complexity_scores: {simple: 3.0}
"""


def learned(**pairs: float) -> LearnedScores:
    scores = LearnedScores(epoch="e")
    for number, (pair, score) in enumerate(pairs.items(), start=1):
        model, complexity = pair.rsplit("_", 1)
        row = LearnedScore(score=score, version=number, at=datetime(2026, 11, 20, tzinfo=UTC))
        scores = scores.with_score((model.replace("_", "-"), complexity), row)
    return scores


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.yaml"
    path.write_text(YAML)
    return path


def test_the_documented_form_is_read(path: Path) -> None:
    first, second = read_catalog_file(path)
    assert (first.name, first.provider, first.context_window) == ("gpt-4o", "openai", 128000)
    assert first.capabilities == {"vision", "function_calling"}
    assert first.pricing is not None
    assert first.pricing.average == 6.25
    assert second.complexity_scores == {"simple": 3.0}


def test_the_shipped_example_is_a_valid_catalog() -> None:
    example = REPOSITORY / "examples" / "catalog.yaml"
    assert {"simple", "medium", "complex"} == set(read_catalog_file(example)[0].complexity_scores)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("models: [", "catalog.yaml:2:1: expected YAML"),
        ("models: [\n - {a", "catalog.yaml:2:2: expected YAML: did not find expected node content"),
        ("", "file: found null: expected a mapping with models"),
        ("[]", "file: found a list of 0 items: expected a mapping with models"),
        ("models: [3]", "models[0]: found 3: expected a mapping"),
        ("models: 3", "models"),
        ("models: [{provider: x}]", "models[0].name: found nothing"),
        ("models: [{name: '', provider: x}]", 'models[0].name: found ""'),
        (
            "models: [{name: m, provider: x, complexity_scores: {simple: 7}}]",
            "models[0].complexity_scores.simple: found 7",
        ),
        ("models: [{name: m, provider: x, complexity_scores: {simple: .nan}}]", "complexity_scores.simple: found nan"),
        ("models: [{name: m, provider: x, complexity_scores: {urgent: 1}}]", "models[0].complexity_scores.urgent"),
        ("models: [{name: m, provider: x, pricing: {input: -1, output: 0}}]", "models[0].pricing.input: found -1"),
        ("models: [{name: m, provider: x, max_output_tokens: 0}]", "models[0].max_output_tokens: found 0"),
        ("models: [{name: m, provider: x}, {name: m, provider: x}]", "models[1]: found m of x again"),
        ("models: [{name: 2024-99-99, provider: x}]", "expected YAML"),
        (
            "models: [{name: m, provider: x, complexity_score: {simple: 1}}]",
            'models[0]: found the key "complexity_score" (did you mean complexity_scores?), expected name, provider',
        ),
        (
            "alias: {gpt-4: m}\nmodels: [{name: m, provider: x}]",
            'file: found the key "alias" (did you mean aliases?), expected models, providers, aliases',
        ),
        ("model: [{name: m, provider: x}]", 'file: found the key "model" (did you mean models?), expected models'),
        (
            "models: []\nproviders: [{provider: p, base_url: 'http://h/v1', apikey: sk-secret}]",
            'providers[0]: found the key "apikey" (did you mean api_key?), expected provider, dialect',
        ),
        (
            "models: [{name: m, provider: x, endpoints: [{wieght: 3}]}]",
            'models[0].endpoints[0]: found the key "wieght" (did you mean weight?), expected url',
        ),
        (
            "models: []\nproviders: [{provider: p, base_url: 'http://h/v1', time_limits: {total: 3}}]",
            'providers[0].time_limits: found the key "total" (did you mean total_seconds?)',
        ),
        ("models: []\naliases: {a: auto}\nmodels: []", 'catalog.yaml:3:1: found the key "models" again'),
        ("models: [{name: m, provider: x, name: n}]", 'catalog.yaml:1:33: found the key "name" again'),
        ("models: [!!python/object/apply:os.getcwd []]", "catalog.yaml:1"),
    ],
)
def test_an_invalid_yaml_gives_one_line_that_names_the_place(path: Path, content: str, words: str) -> None:
    path.write_text(content)
    with pytest.raises(SettingsError) as refused:
        read_catalog_file(path)
    assert words in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "sk-secret" not in str(refused.value)


def test_keys_for_anchors_begin_with_x(path: Path) -> None:
    path.write_text("x-common: &c {provider: p}\nmodels: [{<<: *c, name: a}, {<<: *c, name: b, provider: q}]")
    assert [(model.name, model.provider) for model in read_catalog_file(path)] == [("a", "p"), ("b", "q")]


def test_a_missing_yaml_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_catalog_file(tmp_path / "none.yaml")


def test_a_learned_score_replaces_the_configured_one(path: Path) -> None:
    catalog = ModelCatalog(read_catalog_file(path), learned=learned(gpt_4o_simple=1.5))
    gpt, llama = catalog.models
    assert catalog.score(gpt, "simple") == 1.5
    assert catalog.score(gpt, "medium") == 4.5
    assert catalog.score(llama, "complex") is None


def test_learned_scores_can_be_ignored(path: Path) -> None:
    catalog = ModelCatalog(
        read_catalog_file(path), learned=learned(gpt_4o_simple=1.5, new_simple=3), ignore_learned=True
    )
    assert catalog.score(catalog.models[0], "simple") == 4.0
    assert {model["name"] for model in catalog.as_json()["models"]} == {"gpt-4o", "llama"}


def test_the_effective_catalog_shows_learned_models_that_the_yaml_lacks(path: Path) -> None:
    effective = ModelCatalog(
        read_catalog_file(path), learned=learned(gpt_4o_simple=1.5, newcomer_complex=4.2)
    ).as_json()
    assert effective["version"] == 2
    gpt, llama, newcomer = effective["models"]
    assert gpt["complexity_scores"] == {"simple": 1.5, "medium": 4.5, "complex": 4.8}
    assert gpt["configured_scores"]["simple"] == 4.0
    assert gpt["learned"]["simple"]["score"] == 1.5
    assert llama["learned"] == {}
    assert (newcomer["name"], newcomer["provider"], newcomer["routable"]) == ("newcomer", None, False)
    assert newcomer["complexity_scores"] == {"complex": 4.2}


def test_scores_that_another_process_wrote_are_loaded(path: Path, tmp_path: Path) -> None:
    catalog = ModelCatalog.load(path, tmp_path / "state")
    assert catalog.version == 0
    LearnedScoresFile(tmp_path / "state").write(learned(llama_complex=4.9))
    catalog.refresh()
    assert catalog.score(catalog.models[1], "complex") == 4.9
