"""The fake upstream in the place of every provider: by its addresses in a catalog, with the built-in models."""

from pathlib import Path

import pytest
from support.upstream.fixtures import fake_upstream, running_upstream
from support.upstream.process import FakeUpstream

__all__ = ["fake_upstream", "running_upstream"]

KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY")


@pytest.fixture(autouse=True)
def providers(fake_upstream: FakeUpstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The catalog of the process: three providers with keys, LM Studio with two models, and nothing at Ollama's address."""
    file = tmp_path / "catalog.yaml"
    file.write_text(f"""
providers:
  - {{provider: anthropic, dialect: anthropic, base_url: "{fake_upstream.anthropic_url}", api_key: "env:ANTHROPIC_API_KEY"}}
  - {{provider: openai, dialect: openai, base_url: "{fake_upstream.openai_url}", api_key: "env:OPENAI_API_KEY"}}
  - {{provider: gemini, dialect: gemini, base_url: "{fake_upstream.gemini_url}", api_key: "env:GEMINI_API_KEY"}}
  - {{provider: lm_studio, dialect: openai, base_url: "{fake_upstream.openai_url}", local: true}}
  - {{provider: ollama, dialect: openai, base_url: "http://127.0.0.1:9/v1", local: true}}
""")
    for name in ("DATABASE_URL", "DATABASE_URL_FILE", "INSTANCE_AGENT_DATABASE_URL", "OPENROUTER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("INSTANCE_AGENT_CATALOG", str(file))
    for name in KEYS:
        monkeypatch.setenv(name, f"sk-secret-{name.lower()}")
    return file
