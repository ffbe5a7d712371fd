"""The class of a failed answer: whose failure it is, and whether the request may be tried again.

docs/reference/provider-errors.md has the table, with one test for each of its rows.
"""

import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from instance_agent.chat.errors import ErrorKind
from instance_agent.providers.errors import ProviderError, Retry
from instance_agent.providers.scrub import scrub
from instance_agent.providers.upstream import Upstream


class Classed(Struct, frozen=True):
    """The class of an error, and the HTTP status for the client."""

    error_kind: ErrorKind
    retry: Retry
    status: int


POLICY: Final = Classed("policy", Retry.POLICY, 400)
SETUP: Final = Classed("provider", Retry.SETUP, 502)
OVERLOADED: Final = Classed("provider", Retry.REFUSED, 502)
UNREADABLE: Final = Classed("provider", Retry.UNCERTAIN, 502)
CUT_OFF: Final = Classed("provider", Retry.UNCERTAIN, 502)
_RATE_LIMITED: Final = Classed("provider", Retry.REFUSED, 429)
_TIMED_OUT: Final = Classed("timeout", Retry.UNCERTAIN, 504)

_NO_MESSAGE: Final = "an error without a message"
_IN_ANSWER: Final = "an error in its answer"
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:/\[\]-]{0,63}|[0-9]{1,6}")

_BY_STATUS: Final = {
    401: SETUP,
    402: SETUP,
    # About the key, the account, the address or the model, or about what the request names, such as a file: one such error
    # says nothing about the target, and blames nothing. The breaker looks at the second one in a row.
    **{status: Classed("caller", Retry.SETUP, status) for status in (403, 404, 405)},
    408: Classed("timeout", Retry.REFUSED, 504),
    429: _RATE_LIMITED,
    504: _TIMED_OUT,
    524: _TIMED_OUT,
}
#: Words of providers that say more than the status, in lower case.
_BY_CODE: Final = {
    "content_filter": POLICY,
    "content_policy_violation": POLICY,
    "moderation_blocked": POLICY,
    "responsibleaipolicyviolation": POLICY,
    "insufficient_quota": SETUP,
    "billing_hard_limit_reached": SETUP,
    "billing_error": SETUP,
    "model_not_found": SETUP,
    "api_key_invalid": SETUP,
    "invalid_api_key": SETUP,
    "contract_spend_limit_reached": SETUP,
    "enforced_spend_limit_reached": SETUP,
    # OpenAI
    "account_deactivated": SETUP,
    "billing_not_active": SETUP,
    "unsupported_country_region_territory": SETUP,
    # Azure
    "deploymentnotfound": SETUP,
    # Groq
    "model_decommissioned": SETUP,
    "model_permission_blocked_org": SETUP,
    "model_permission_blocked_project": SETUP,
    # Google: reasons of google.rpc.ErrorInfo
    "api_key_http_referrer_blocked": SETUP,
    "api_key_ip_address_blocked": SETUP,
    "api_key_service_blocked": SETUP,
    "billing_disabled": SETUP,
    "consumer_invalid": SETUP,
    "consumer_suspended": SETUP,
    "service_disabled": SETUP,
}
#: OpenRouter's 402 for a request that may write more than the credit covers; a smaller one would be answered.
_CREDIT_WORDS: Final = re.compile(r"\bfewer max_tokens\b|\bcan only afford\b")
_TOO_LARGE_FOR_CREDIT: Final = Classed("caller", Retry.CALLER, 402)
#: Anthropic gives its content filter no code.
_POLICY_WORDS: Final = ("blocked by content filtering policy",)
#: Anthropic and Google give 400 to what an operator must fix; no code tells them apart. Only the begin of a message is the
#: provider's own: the rest may quote the request.
_SETUP_WORDS: Final = (
    "your credit balance is too low",
    "user location is not supported",
    "api key not valid",
    "api key expired",
)
#: OpenAI's code for a prompt that is too long: programs shorten the prompt when they find it, so every provider's has it.
TOO_LONG: Final = "context_length_exceeded"
#: Anthropic, Google and llama.cpp give it no code of its own.
_TOO_LONG_WORDS: Final = (
    "prompt is too long",
    "exceeds the maximum number of tokens allowed",
    "maximum context length is",
    "exceeds the available context size",
)


#: Words of a 403 about the key or the account: Anthropic, OpenAI, Google, OpenRouter.
_KEY_WORDS: Final = re.compile(r"\bapi key\b|\bkey limit exceeded\b|\bmissing scopes\b|\byour (organization|credits)\b")
#: Texts of a 404 about the model: Anthropic's whole text is its name, the others say that it is not there.
_MODEL_WORDS: Final = re.compile(
    r"model: \S+|(the )?models?[ /].{1,300}(not found|does not exist).*|no endpoints found for \S+", re.DOTALL
)


def class_of_status(status: int) -> Classed:
    """Return the class of an HTTP status that is not 200."""
    known = _BY_STATUS.get(status)
    if known is not None:
        return known
    if status >= 500:
        return OVERLOADED
    return SETUP if status < 400 else Classed("caller", Retry.CALLER, status)


def classify(status: int, codes: tuple[str, ...], message: str) -> Classed:
    """Return the class of an error answer by its words and its status; `codes` in the provider's spelling."""
    for code in codes:
        known = _BY_CODE.get(code.lower())
        if known is not None:
            return known
    lowered = message.lower()
    if status == 402 and _CREDIT_WORDS.search(lowered):
        return _TOO_LARGE_FOR_CREDIT
    if status < 500 and lowered.lstrip().startswith(_SETUP_WORDS):
        return SETUP
    if status < 500 and any(words in lowered for words in _POLICY_WORDS):
        return POLICY
    if status == 403 and _KEY_WORDS.search(lowered):
        return SETUP
    if status == 404 and _MODEL_WORDS.fullmatch(lowered.strip()):
        return SETUP
    return class_of_status(status)


def provider_error(
    upstream: Upstream,
    classed: Classed,
    message: str,
    *,
    said: str | None = None,
    upstream_status: int | None = None,
    retry_after_seconds: float | None = None,
    code: str | None = None,
    words: Iterable[str] = (),
    phase: str | None = None,
) -> ProviderError:
    """Return the error, its message without keys and with the provider's name.

    Args:
        message: in our words.
        said: the provider's own words, which may quote the prompt: for the client alone.
        code, words: the provider's words for programs, such as its type of the error and the name of a field.
    """
    secrets = upstream.secrets()
    text = scrub(": ".join(filter(None, (message, said))), secrets) or _NO_MESSAGE
    if classed.error_kind == "caller" and any(words in text.lower() for words in _TOO_LONG_WORDS):
        code = TOO_LONG
    known = dict.fromkeys(each for each in (code, *words) if each and is_word(each, secrets))
    own = scrub(message, secrets) or _IN_ANSWER
    return ProviderError(
        f"{upstream.provider}: {text}",
        provider=upstream.provider,
        error_kind=classed.error_kind,
        retry=classed.retry,
        status=classed.status,
        upstream_status=upstream_status,
        retry_after_seconds=retry_after_seconds,
        code=scrub(code, secrets)[:100] if code else None,
        phase=phase,
        summary=f"{upstream.provider}: {own}" + (f" ({', '.join(known)})" if known else ""),
    )


def is_word(text: str, secrets: Iterable[str]) -> bool:
    """Whether a text of a provider is a word for programs, or a path of a field, and neither a sentence nor a key."""
    return _WORD.fullmatch(text) is not None and scrub(text, secrets) == text


def unreadable(upstream: Upstream, found: str) -> ProviderError:
    """Return the error for a 200 answer that cannot be read: it was run, and may be billed."""
    return provider_error(upstream, UNREADABLE, f"found {found}, expected a whole answer", upstream_status=200)


def cut_off(upstream: Upstream, expected: str, *, begun: bool) -> ProviderError:
    """Return the error for a stream that ends without its proper end."""
    error = provider_error(
        upstream, CUT_OFF, f"found the end of the stream, expected {expected} before it", upstream_status=200
    )
    return error.after_first_byte() if begun else error
