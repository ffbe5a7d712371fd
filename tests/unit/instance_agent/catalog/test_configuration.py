"""Providers, keys, endpoints and aliases of a catalog, from a file, from the environment and from local providers."""

import logging
import os
import pickle
from pathlib import Path

import pytest

from centralcloud.contracts import SettingsError
from instance_agent.catalog.aliases import AliasError, Aliases
from instance_agent.catalog.catalog import ModelCatalog
from instance_agent.catalog.catalog_file import built_in_entries, read_entries
from instance_agent.catalog.configuration import build_configuration
from instance_agent.catalog.key_reader import KeyReader
from instance_agent.catalog.learned_scores import LearnedScores
from instance_agent.catalog.model import Endpoint, Model
from instance_agent.catalog.provider import Provider
from instance_agent.catalog.source import CatalogSource

SECRET = "sk-very-secret-value"

YAML = """
providers:
  - {provider: here, dialect: openai, base_url: "http://10.0.0.7:8000/v1/", api_key: "env:HERE_KEY",
     headers: {x-team: research, x-token: "env:TEAM_TOKEN"}, time_limits: {first_byte_seconds: 300}}
aliases: {"claude-*": auto, "gpt-4": big, big: m}
models:
  - {name: m, provider: here, version: m-2026, display_name: "Model M", tags: [gdpr], status: deprecated,
     model_type: chat, parameters: {temperature: 0.7}, time_limits: {total_seconds: 60},
     endpoints: [{url: "http://10.0.0.9/v1/chat/completions", type: fallback}, {weight: 3, health_check_url: "http://10.0.0.7/up"}]}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.yaml"
    path.write_text(YAML)
    return path


def test_every_field_of_the_yaml_is_read(path: Path) -> None:
    configuration = CatalogSource(path, {"HERE_KEY": SECRET, "TEAM_TOKEN": "t"}).build()
    first, last = configuration.targets["m"]
    assert (first.base_url, first.endpoint.weight, first.key) == ("http://10.0.0.7:8000/v1", 3, "m@here#2")
    assert (last.base_url, last.endpoint.type, last.rank) == ("http://10.0.0.9/v1", "fallback", 2)
    assert first.endpoint.health_check_url == "http://10.0.0.7/up"
    assert first.problem is None
    model = first.model
    assert (model.sent_as, model.display_name, model.status) == ("m-2026", "Model M", "deprecated")
    assert (model.tags, model.parameters, model.time_limits.total_seconds) == ({"gdpr"}, {"temperature": 0.7}, 60)
    provider = first.provider
    assert provider is not None
    assert (provider.dialect, provider.api_key, provider.time_limits.first_byte_seconds) == ("openai", SECRET, 300)
    assert provider.headers == {"x-team": "research", "x-token": "t"}
    assert configuration.resolve("claude-opus-9") == ("auto", "claude-opus-9")
    assert configuration.resolve("gpt-4") == ("m", "gpt-4"), "through another alias"
    assert configuration.resolve("m") == ("m", None)
    assert configuration.resolve("unknown") == ("unknown", None)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("env:HERE_KEY", SECRET, "providers[0].api_key: found a value that is not shown: expected env:NAME or file:/PATH"),
        ("x-team: research", f'x-team: "{SECRET}\\n"', "providers[0].headers: found a value that is not shown"),
        ("x-team: research", "host: example", "providers[0].headers: found a value that is not shown"),
        ("10.0.0.7:8000/v1/", "169.254.169.254/", "providers[0].base_url: found"),
        ("10.0.0.9/v1", "[fe80::1]/v1", "models[0].endpoints[0].url: found"),
        ("10.0.0.7/up", "metadata/up", "models[0].endpoints[1].health_check_url: found"),
        ("weight: 3", "weight: 0", "models[0].endpoints[1].weight: found 0"),
        ("type: fallback", "type: spare", "models[0].endpoints[0].type"),
        ("status: deprecated", "status: retired", "models[0].status"),
        ("first_byte_seconds: 300", "first_byte: 300", 'providers[0].time_limits: found the key "first_byte" (did'),
        ("big: m", "big: nowhere", "aliases.big: found \"nowhere\": expected a model of the catalog, auto"),
        ("big: m", "big: gpt-4", "expected an alias without a cycle, found gpt-4 -> big"),
        ('"claude-*": auto', '"claude-*": claude-new', "aliases.claude-*: found \"claude-new\": expected an alias without"),
        ("dialect: openai", "dialect: OpenAI", "providers[0].dialect"),
        ("api_key: \"env:HERE_KEY\"", f"key: {SECRET}", 'providers[0]: found the key "key" (did you mean api_key?)'),
        ("http://10.0.0.7:8000/v1/", f"https://u:{SECRET}@models.example", "providers[0].base_url: found a value"),
        ("http://10.0.0.7/up", f"ftp://models.example/?key={SECRET}", "health_check_url: found a value that is not shown"),
    ],
)  # fmt: skip
def test_an_invalid_value_is_one_line_that_names_its_path_and_no_key(
    path: Path, old: str, new: str, words: str
) -> None:
    assert old in YAML
    path.write_text(YAML.replace(old, new))
    with pytest.raises(SettingsError) as refused:
        CatalogSource(path, {}).build()
    assert words in str(refused.value)
    assert str(path) in str(refused.value)
    assert SECRET not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_provider_twice_is_an_error(path: Path) -> None:
    path.write_text(
        '{models: [], providers: [{provider: p, base_url: "http://a"}, {provider: p, base_url: "http://b"}]}'
    )
    with pytest.raises(SettingsError, match=r"providers\[1\]: found p again, expected it once"):
        read_entries(path)


def test_a_missing_key_makes_a_provider_unavailable_with_the_reason(path: Path) -> None:
    targets = CatalogSource(path, {}).build().targets["m"]
    assert {target.problem for target in targets} == {"HERE_KEY is not set; header x-token: TEAM_TOKEN is not set"}


def test_no_repr_and_no_log_line_shows_a_key(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    path.write_text(YAML.replace("x-team: research", f"x-team: {SECRET}"))
    source = CatalogSource(path, {"HERE_KEY": SECRET, "TEAM_TOKEN": SECRET})
    configuration = source.build()
    catalog = ModelCatalog([])
    catalog.use_configuration(configuration)
    seen = [configuration, configuration.targets, configuration.providers, catalog.snapshot, read_entries(path)]
    seen += [KeyReader({"A": SECRET}).read("env:A"), catalog.as_json(), source]
    assert SECRET not in repr(seen)
    assert SECRET not in str(seen)
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"two words", "characters that a key cannot have"),
        (b"line\nline", "characters that a key cannot have"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"x" * 20_000, "cannot read"),
    ],
)
def test_a_key_file_that_cannot_be_used_is_a_reason(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    key = KeyReader().read(f"file:{file}")
    assert key.value is None
    assert key.problem is not None
    assert problem in key.problem
    assert str(file) in key.problem


def test_a_rotated_key_file_is_read_again(tmp_path: Path) -> None:
    key, path = tmp_path / "key", tmp_path / "catalog.yaml"
    key.write_text("first\n")
    path.write_text(f'{{models: [], providers: [{{provider: p, base_url: "http://a", api_key: "file:{key}"}}]}}')
    source = CatalogSource(path, {})
    before = source.build()
    assert before.providers["p"].api_key == "first"
    assert not source.changed()
    replacement = tmp_path / "new"
    replacement.write_text("second\n")
    replacement.replace(key)
    assert source.changed()
    assert source.build().providers["p"].api_key == "second"
    assert before.providers["p"].api_key == "first", "a request keeps the snapshot that it began with"
    assert not source.changed()
    key.unlink()
    assert source.changed()
    assert source.build().providers["p"].problem == f"{key} does not exist"


def test_an_invalid_edit_is_an_error_once_and_keys_still_rotate(tmp_path: Path) -> None:
    key, path = tmp_path / "key", tmp_path / "catalog.yaml"
    key.write_text("first")
    path.write_text(f'{{models: [], providers: [{{provider: p, base_url: "http://a", api_key: "file:{key}"}}]}}')
    source = CatalogSource(path, {})
    source.build()
    path.write_text("models: [broken")
    assert source.changed()
    with pytest.raises(SettingsError, match="expected YAML"):
        source.build()
    assert not source.changed()
    key.write_text("second key".replace(" ", "-"))
    assert source.changed()
    assert source.build().providers["p"].api_key == "second-key"
    path.write_text("models: []")
    assert "p" not in source.build().providers
    key.unlink()
    assert not source.changed(), "a key that is not used any more is not watched"


def test_an_alias_does_not_depend_on_the_models_that_are_found(path: Path) -> None:
    path.write_text(YAML.replace("big: m", "big: lm_studio/phi-4"))
    source = CatalogSource(path, {})
    assert source.build().targets_of("lm_studio/phi-4")[0].problem == "it does not answer at http://localhost:1234/v1"
    source.use_found({"lm_studio": frozenset({"phi-4"})})
    configuration = source.build()
    assert configuration.resolve("gpt-4") == ("lm_studio/phi-4", "gpt-4")
    assert configuration.targets_of("lm_studio/phi-4")[0].problem is None


def test_an_edit_of_the_file_is_seen(path: Path) -> None:
    source = CatalogSource(path, {})
    source.build()
    assert not source.changed()
    path.write_text(YAML + "\n")
    assert source.changed()


KEYS = {
    "anthropic": "ANTHROPIC_API_KEY",
    "openai": "OPENAI_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
}


@pytest.mark.parametrize("provider", KEYS)
def test_one_environment_key_makes_its_provider_available_without_any_file(provider: str) -> None:
    configuration = CatalogSource(environ={KEYS[provider]: SECRET}).build()
    usable = {each.provider.name for all_ in configuration.targets.values() for each in all_ if each.problem is None}
    assert usable == {provider}
    assert configuration.providers[provider].api_key == SECRET
    for other in KEYS.keys() - {provider}:
        assert configuration.providers[other].problem == f"{KEYS[other]} is not set"
    (target,) = configuration.targets_of(f"{provider}/a/model:free")
    assert (target.model.sent_as, target.problem, target.model.name) == (
        "a/model:free",
        None,
        f"{provider}/a/model:free",
    )
    assert configuration.targets_of("nowhere/model") == ()
    assert configuration.targets_of(f"{provider}/") == ()


def test_a_provider_and_model_of_the_catalog_use_its_entry() -> None:
    configuration = CatalogSource(environ={}).build()
    (target,) = configuration.targets_of("openrouter/gpt-4o")
    assert (target.model.name, target.model.sent_as, target.key) == ("gpt-4o", "openai/gpt-4o", "gpt-4o@openrouter")
    (local,) = configuration.targets_of("qwen/qwen3-30b-a3b-2507")
    assert local.model.provider == "lm_studio", "a name with a slash is a name first"


def test_a_local_provider_is_available_while_it_answers() -> None:
    source = CatalogSource(environ={})
    (target,) = source.build().targets["qwen/qwen3-30b-a3b-2507"]
    assert target.problem == "it does not answer at http://localhost:1234/v1"
    source.use_found({"lm_studio": frozenset({"qwen/qwen3-30b-a3b-2507", "phi-4", "nomic-embed-text"})})
    assert source.changed()
    configuration = source.build()
    assert not source.changed()
    assert configuration.targets["qwen/qwen3-30b-a3b-2507"][0].problem is None
    (missing,) = configuration.targets["mistralai/devstral-small-2507"]
    assert missing.problem == "lm_studio does not have the model mistralai/devstral-small-2507"
    found = configuration.targets["phi-4"][0].model
    assert (found.provider, found.pricing.average if found.pricing else None) == ("lm_studio", 0)
    assert found.complexity_scores == {"simple": 3.0, "medium": 2.5}
    assert configuration.targets["nomic-embed-text"][0].model.model_type == "embedding"
    source.use_found({})
    assert source.changed()
    assert "phi-4" not in source.build().targets


def test_the_providers_of_the_built_in_catalog_stay_known_with_a_file(path: Path) -> None:
    configuration = CatalogSource(path, {"OPENAI_API_KEY": SECRET}).build()
    assert {model.name for model in configuration.models} == {"m"}
    (target,) = configuration.targets_of("openai/gpt-4o")
    assert target.problem is None
    path.write_text('{models: [], providers: [{provider: openai, base_url: "http://10.0.0.1/v1"}]}')
    assert CatalogSource(path, {}).build().providers["openai"].base_url == "http://10.0.0.1/v1"


def test_the_built_in_catalog_is_complete() -> None:
    entries = built_in_entries()
    described = {provider.provider for provider in entries.providers}
    for model in entries.models:
        assert model.provider in described
        assert model.pricing is not None
        assert model.complexity_scores
        assert model.provider == "lm_studio" or model.context_window
    for old in ("claude-3-5-sonnet-20241022", "claude-3-opus-latest", "gpt-3.5-turbo", "gpt-4", "gpt-4-1106-preview"):
        name, alias = CatalogSource(environ={}).build().resolve(old)
        assert name in {model.name for model in entries.models}
        assert alias == old


def test_a_model_without_a_described_provider_says_so() -> None:
    (target,) = build_configuration([Model(name="m", provider="elsewhere")]).targets["m"]
    assert (target.problem, target.provider) == ("the catalog has no provider elsewhere", None)


def test_a_name_is_matched_exactly_first_and_by_the_first_pattern_then() -> None:
    aliases = Aliases({"c*": "b", "claude-*": "a", "claude-x": "p/other", "[!z]?": "auto:complex"}, {"a", "b"}, {"p"})
    assert aliases.resolve("claude-x") == "p/other"
    assert aliases.resolve("claude-y") == "b"
    assert aliases.resolve("qq") == "auto:complex"
    assert aliases.resolve("zq") is None
    assert aliases.resolve("CLAUDE-Y") is None, "names are compared as they are"


@pytest.mark.parametrize(
    "table", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "b", "b": "c", "c": "b"}, {"x*": "xa"}, {"*": "y"}]
)
def test_a_cycle_is_an_error_that_names_its_path(table: dict[str, str]) -> None:
    with pytest.raises(AliasError, match=r"without a cycle, found .* -> ") as refused:
        Aliases(table, {"m"})
    assert refused.value.pattern in table


def test_names_that_clients_invent_do_not_fill_the_memory() -> None:
    aliases = Aliases({"x-*": "m"}, {"m"})
    for number in range(5000):
        assert aliases.resolve(f"x-{number}") == "m"
        assert aliases.resolve(f"y-{number}") is None
    assert len(pickle.dumps(aliases._resolved)) < 200_000


def test_scores_and_configuration_are_replaced_apart(path: Path) -> None:
    catalog = ModelCatalog([])
    configuration = CatalogSource(path, {}).build()
    prepared = catalog.next(configuration=configuration)
    catalog.use_configuration(configuration)
    assert catalog.snapshot.configuration is prepared.configuration is configuration
    catalog.use(LearnedScores(version=3))
    assert catalog.snapshot.configuration is configuration
    assert catalog.models is configuration.models


def test_an_endpoint_accepts_the_address_of_an_operation() -> None:
    endpoint = Endpoint(url="https://api.openai.com/v1/chat/completions", type="primary", weight=1.0)
    assert endpoint.base_url == "https://api.openai.com/v1"


def test_a_provider_hides_the_values_of_its_headers() -> None:
    provider = Provider(provider="p", base_url="http://a", headers={"api-key": SECRET})
    assert SECRET not in repr(provider)
    assert "api-key" in repr(provider)


def test_a_forced_build_reads_an_edit_that_left_time_and_size_as_they_were(path: Path) -> None:
    source = CatalogSource(path, {})
    source.build()
    status = path.stat()
    with path.open("r+") as file:
        file.write(path.read_text().replace("big", "pig"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert source.build().resolve("big") == ("m", "big")
    assert source.build(whole=True).resolve("pig") == ("m", "pig")


def test_an_edit_with_an_unknown_key_is_an_error_once_and_the_last_valid_file_stays(path: Path) -> None:
    source = CatalogSource(path, {})
    before = source.build()
    path.write_text(YAML.replace("aliases:", "alias:"))
    with pytest.raises(SettingsError, match="did you mean aliases"):
        source.build()
    assert source.build().models == before.models


def test_a_file_without_models_keeps_the_built_in_ones_below_its_own_aliases(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text('aliases: {"claude-*": auto, "gpt-*": auto:simple, mine: gpt-4o}\n')
    configuration = CatalogSource(path, {"OPENAI_API_KEY": SECRET}).build()
    assert configuration.targets.keys() == CatalogSource(environ={}).build().targets.keys()
    found = {name: configuration.resolve(name)[0] for name in ("claude-3-haiku", "gpt-4", "mine", "gemini-1.5-pro-1")}
    assert found == {
        "claude-3-haiku": "auto",
        "gpt-4": "auto:simple",
        "mine": "gpt-4o",
        "gemini-1.5-pro-1": "gemini-3.8-flash",
    }
    path.write_text('aliases: {"claude-*": auto}\nmodels: []\n')
    assert not CatalogSource(path, {}).build().targets


def test_a_model_of_an_unknown_provider_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text("models: [{name: a, provider: openai}, {name: b, provider: opnai}]\n")
    with pytest.raises(SettingsError) as refused:
        CatalogSource(path, {}).build()
    assert 'models[1].provider: found "opnai" (did you mean openai?), expected one of `providers`' in str(refused.value)
    path.write_text("providers: [{provider: opnai, base_url: 'http://h/v1'}]\nmodels: [{name: b, provider: opnai}]\n")
    assert CatalogSource(path, {}).build().targets["b"][0].problem is None
