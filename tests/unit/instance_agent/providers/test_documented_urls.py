"""The URLs of calls are those of the providers' documentation: for every preset, and for every catalog of the repository.

The URLs are literals, so that a wrong base URL cannot hide behind the one that it is built from.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from support.repository import REPOSITORY

from centralcloud.contracts import SettingsError
from instance_agent.catalog.catalog_file import built_in_entries
from instance_agent.catalog.source import CatalogSource
from instance_agent.chat.errors import UnsupportedFeatureError
from instance_agent.chat.messages import ChatRequest, Message, TextPart
from instance_agent.providers.dialect import EmbeddingRequest
from instance_agent.providers.installed import dialect
from instance_agent.providers.presets import PRESETS
from instance_agent.providers.upstream import Upstream

#: Chat, embeddings (None: the provider has none) and the list of models, for the model `m`.
DOCUMENTED: dict[str, tuple[str, str | None, str]] = {
    # docs.claude.com: API reference, Messages and Models.
    "anthropic": ("https://api.anthropic.com/v1/messages", None, "https://api.anthropic.com/v1/models"),
    # learn.microsoft.com: Azure OpenAI, v1 API.
    "azure": (
        "https://r.openai.azure.com/openai/v1/chat/completions",
        "https://r.openai.azure.com/openai/v1/embeddings",
        "https://r.openai.azure.com/openai/v1/models",
    ),
    # ai.google.dev: API reference, generateContent, batchEmbedContents and models.list.
    "gemini": (
        "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent",
        "https://generativelanguage.googleapis.com/v1beta/models/m:batchEmbedContents",
        "https://generativelanguage.googleapis.com/v1beta/models",
    ),
    # lmstudio.ai: OpenAI compatibility endpoints.
    "lm_studio": (
        "http://localhost:1234/v1/chat/completions",
        "http://localhost:1234/v1/embeddings",
        "http://localhost:1234/v1/models",
    ),
    # docs.ollama.com: OpenAI compatibility.
    "ollama": (
        "http://localhost:11434/v1/chat/completions",
        "http://localhost:11434/v1/embeddings",
        "http://localhost:11434/v1/models",
    ),
    # platform.openai.com: API reference.
    "openai": (
        "https://api.openai.com/v1/chat/completions",
        "https://api.openai.com/v1/embeddings",
        "https://api.openai.com/v1/models",
    ),
    # openrouter.ai: API reference.
    "openrouter": (
        "https://openrouter.ai/api/v1/chat/completions",
        "https://openrouter.ai/api/v1/embeddings",
        "https://openrouter.ai/api/v1/models",
    ),
    # docs.vllm.ai: OpenAI-compatible server.
    "vllm": (
        "http://localhost:8000/v1/chat/completions",
        "http://localhost:8000/v1/embeddings",
        "http://localhost:8000/v1/models",
    ),
}
HOSTS = {urlsplit(urls[0]).netloc: name for name, urls in DOCUMENTED.items()}


def called(name: str, spoken: str, base_url: str) -> tuple[str, str | None, str]:
    """Return the URLs, without queries, that calls of a provider go to."""
    upstream, made = Upstream(provider=name, dialect=spoken, base_url=base_url), dialect(spoken)
    chat = made.chat(upstream, ChatRequest(model="m", messages=(Message("user", (TextPart("hi"),)),)), "m").url
    try:
        embeddings = made.embed(upstream, EmbeddingRequest(inputs=("hi",)), "m").url
    except UnsupportedFeatureError:
        embeddings = None
    return chat, embeddings, made.list_models(upstream).url.partition("?")[0]


def yaml_documents() -> Iterator[tuple[str, Any]]:
    """Yield each YAML of the repository: files, blocks of pages, and files inside of other YAML (ConfigMaps)."""
    tracked = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.yaml", "*.yml", "*.md")
    listed = subprocess.run(tracked, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        text = (REPOSITORY / name).read_text()
        if "base_url" not in text:
            continue
        blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if name.endswith(".md") else [text]
        for block in blocks:
            for document in yaml.safe_load_all(block):
                yield name, document


def providers_in(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping with a base_url, at any depth, in texts of YAML too."""
    if isinstance(value, str) and "base_url" in value:
        value = yaml.safe_load(value)
    if isinstance(value, dict):
        if "base_url" in value:
            yield value
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from providers_in(each)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_leads_to_the_documented_urls(name: str) -> None:
    preset = PRESETS[name]
    base_url = preset.base_url or "https://r.openai.azure.com/openai/v1"
    assert called(name, preset.dialect, base_url) == DOCUMENTED[name]


def test_every_provider_of_the_built_in_catalog_leads_to_the_documented_urls() -> None:
    providers = built_in_entries().providers
    assert len(providers) >= 6
    for each in providers:
        assert called(each.provider, each.dialect, each.base_url) == DOCUMENTED[each.provider], each.provider


def test_every_catalog_in_the_repository_leads_to_the_documented_urls() -> None:
    seen = set()
    for name, document in yaml_documents():
        for provider in providers_in(document):
            seen.add(name)
            known, spoken = HOSTS.get(urlsplit(provider["base_url"]).netloc), provider.get("dialect", "openai")
            place = f"{name}: {provider['provider']}"
            if known is not None:
                assert called(provider["provider"], spoken, provider["base_url"]) == DOCUMENTED[known], place
            elif spoken in ("openai", "anthropic"):
                assert provider["base_url"].endswith("/v1"), place
    assert {
        "instance_agent/catalog/default_catalog.yaml",
        "deploy/kubernetes/components/gateway-catalog/catalog.yaml",
        "docs/reference/catalog.md",
    } <= seen


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("https://api.anthropic.com", "https://api.anthropic.com/v1"),
        ("https://API.openai.com", "https://api.openai.com/v1"),
    ],
)
def test_a_catalog_without_the_path_of_a_known_provider_is_refused(
    base_url: str, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(f'providers: [{{provider: mine, base_url: "{base_url}"}}]\nmodels: []\n')
    with pytest.raises(SettingsError) as refused:
        CatalogSource(path, {}).build()
    assert f'providers[0].base_url: found "{base_url}", expected {expected}' in str(refused.value)
