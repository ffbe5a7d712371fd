"""Providers that are known by name: their dialect, address and the usual variable of their key."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from instance_agent.providers.upstream import Limits

_LOCAL_LIMITS: Final = Limits(connect=2.0, first_byte=600.0, idle=120.0)


class Preset(Struct, frozen=True, kw_only=True):
    """A provider known by name.

    Attributes:
        base_url: None where each account has its own.
        key_variable: the environment variable that its own tools read the key from; None for a service without keys.
    """

    dialect: str
    base_url: str | None
    key_variable: str | None = None
    key_header: str | None = None
    max_tokens_field: str = "max_tokens"
    limits: Limits = Limits()


PRESETS: Final[Mapping[str, Preset]] = {
    "anthropic": Preset(dialect="anthropic", base_url="https://api.anthropic.com/v1", key_variable="ANTHROPIC_API_KEY"),
    # The v1 API: https://RESOURCE.openai.azure.com/openai/v1; models are named by their deployment.
    "azure": Preset(
        dialect="openai",
        base_url=None,
        key_variable="AZURE_OPENAI_API_KEY",
        key_header="api-key",
        max_tokens_field="max_completion_tokens",
    ),
    "gemini": Preset(
        dialect="gemini",
        base_url="https://generativelanguage.googleapis.com/v1beta",
        key_variable="GEMINI_API_KEY",
    ),
    "lm_studio": Preset(dialect="openai", base_url="http://localhost:1234/v1", limits=_LOCAL_LIMITS),
    "ollama": Preset(dialect="openai", base_url="http://localhost:11434/v1", limits=_LOCAL_LIMITS),
    "openai": Preset(
        dialect="openai",
        base_url="https://api.openai.com/v1",
        key_variable="OPENAI_API_KEY",
        max_tokens_field="max_completion_tokens",
    ),
    "openrouter": Preset(dialect="openai", base_url="https://openrouter.ai/api/v1", key_variable="OPENROUTER_API_KEY"),
    "vllm": Preset(dialect="openai", base_url="http://localhost:8000/v1", limits=_LOCAL_LIMITS),
}
