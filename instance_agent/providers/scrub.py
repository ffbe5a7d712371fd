"""Texts of providers without keys: some echo the key that they were sent, whole or in part."""

import base64
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import quote, quote_plus

MAX_MESSAGE_LENGTH: Final = 500
_MASK: Final = "***"
#: Shorter pieces of a key are words of the language by chance.
_PIECE_LENGTH: Final = 8
_BASE64_LENGTH: Final = 12
_WORDS: Final = re.compile(r"[^\s\"'<>,;()\[\]{}]+")
_ASSIGNED: Final = r"""(["']?\s*[:=]\s*["']?)"""
_PATTERNS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (rf"\b((?:proxy-)?authorization|cookie){_ASSIGNED}(?:(?:bearer|basic)\s+)?[^\s\"',;]+", r"\1\2***"),
        (r"\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=*-]{6,}", r"\1\2***"),
        (r"([?&](?:key|api[-_]?key|token|access_token|sig|signature|subscription-key)=)[^&\s\"'<>]+", r"\1***"),
        (rf"\b((?:x-)?(?:goog-)?api[-_ ]?key|access[-_ ]token|secret){_ASSIGNED}[^\s\"',;]+", r"\1\2***"),
        # The beginnings of keys of OpenAI, Anthropic, OpenRouter, Groq, xAI, Hugging Face and GitHub,
        (r"\b(?:sk|pk|rk|gsk|xai|hf|ghp|or)[-_][A-Za-z0-9*._-]{6,}", _MASK),
        # of Google and AWS, and JSON web tokens.
        (r"\bAIza[A-Za-z0-9*_-]{6,}|\bAQ\.[A-Za-z0-9*_-]{10,}|\bya29\.[A-Za-z0-9*._-]{6,}|\bAKIA[A-Z0-9]{12,}", _MASK),
        (r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.?[A-Za-z0-9_-]*", _MASK),
    )
)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def scrub(text: str, secrets: Iterable[str]) -> str:
    """Return `text` in one line of at most 500 characters, without `secrets` in any usual form, and without other keys.

    The forms: as it is, reversed, percent-encoded, in base64 of any alignment, in hexadecimal digits, and each word that
    holds eight characters of it in a row.
    """
    text = _CONTROL.sub(" ", text[: 20 * MAX_MESSAGE_LENGTH])
    for secret in secrets:
        for form in _forms(secret):
            text = text.replace(form, _MASK)
        pieces = _pieces(secret)
        if any(piece in text for piece in pieces):
            text = _WORDS.sub(lambda word, hidden=pieces: _MASK if any(p in word[0] for p in hidden) else word[0], text)  # type: ignore[misc]
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    text = text.strip()
    return text if len(text) <= MAX_MESSAGE_LENGTH else f"{text[: MAX_MESSAGE_LENGTH - 3]}..."


def _forms(secret: str) -> list[str]:
    return [form for form in (secret, quote(secret, safe=""), quote_plus(secret)) if len(form) >= 4]


@lru_cache(256)
def _pieces(secret: str) -> frozenset[str]:
    """Return the pieces by which a word is one of the secret; computed once, since an outage makes many errors."""
    digits = secret.encode(errors="replace").hex()
    return frozenset(
        (
            *_windows(secret, _PIECE_LENGTH),
            *_windows(secret[::-1], _PIECE_LENGTH),
            *_windows(digits, 2 * _PIECE_LENGTH),
            *_windows(digits.upper(), 2 * _PIECE_LENGTH),
            *(piece for form in _encoded(secret) for piece in _windows(form, _BASE64_LENGTH)),
        )
    )


def _encoded(secret: str) -> list[str]:
    """Return the secret in base64, at each of the three alignments that a text before it may cause."""
    raw = secret.encode(errors="replace")
    encoded = []
    for skipped in range(3):
        whole = raw[skipped:]
        text = base64.b64encode(whole[: len(whole) // 3 * 3]).decode()
        encoded += [text, text.replace("+", "-").replace("/", "_")]
    return encoded


def _windows(text: str, length: int) -> set[str]:
    return {text[i : i + length] for i in range(len(text) - length + 1)}
