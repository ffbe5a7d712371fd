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
    403: SETUP,
    404: SETUP,
    405: SETUP,
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
}
#: Anthropic gives its content filter no code.
_POLICY_WORDS: Final = ("blocked by content filtering policy",)
#: Anthropic and Google give 400 to what an operator must fix; no code tells them apart.
_SETUP_WORDS: Final = (
    "credit balance is too low",
    "user location is not supported",
    "api key not valid",
    "api key expired",
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
    if status < 500 and any(words in lowered for words in _SETUP_WORDS):
        return SETUP
    if status < 500 and any(words in lowered for words in _POLICY_WORDS):
        return POLICY
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
