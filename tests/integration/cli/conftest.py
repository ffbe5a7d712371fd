"""The catalog of an instance, for commands of `instance-agent`."""

from pathlib import Path

import pytest

CATALOG = """
models:
  - name: gpt-4o
    provider: openai
    capabilities: [vision]
    max_output_tokens: 10000
    pricing: {input: 2, output: 6}
    complexity_scores: {simple: 4.0, medium: 4.0, complex: 4.0}
  - name: llama
    provider: local
    max_output_tokens: 1000
    pricing: {input: 0, output: 0}
    complexity_scores: {simple: 3.9, medium: 3.0}
"""


@pytest.fixture
def catalog(tmp_path: Path) -> dict[str, str]:
    """Return the settings of an instance with a small catalog."""
    path = tmp_path / "catalog.yaml"
    path.write_text(CATALOG)
    return {"INSTANCE_AGENT_CATALOG": str(path), "INSTANCE_AGENT_STATE_DIR": str(tmp_path / "state")}
