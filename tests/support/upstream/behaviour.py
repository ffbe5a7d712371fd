"""The misbehaviours of the fake upstream, by name.

A name may have an argument after `=`. Several are joined by `+`. They are chosen, in this order, by the header
`x-fake-behaviour`, by the model's name after `!` (`gpt-4o!die=3`), or for the next requests by `POST /control/behave`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

#: Name -> what it does, with the meaning of its argument.
BEHAVIOURS = {
    # before the headers
    "status": "answers with this status and an error of the protocol: status=503",
    "retry-after": "adds this header to an error: retry-after=7",
    "retry-after-date": "adds it as an HTTP date, so many seconds from now",
    "retry-after-ms": "adds retry-after-ms",
    "ratelimit-reset": "adds x-ratelimit-remaining-requests: 0 and x-ratelimit-reset-requests: 6m0s",
    "retry-info": "adds google.rpc.RetryInfo to an error of Gemini's, so many seconds",
    "hang": "never answers",
    "hold": "waits before the headers until the upstream is told to release",
    "slow-headers": "waits so many seconds before the headers",
    "reset": "breaks the connection without an answer",
    "redirect": "redirects to this address",
    "html": "answers 200 with a web page",
    "not-http": "answers with bytes that are not HTTP",
    # errors of the protocol
    "echo-key": "refuses with 401, and its text holds the key, the bearer token, base64 of the key and an address with it",
    "echo": "every error holds the request and the key: in its text, in its words for programs and in its headers",
    "quota": "refuses with 429 because the account has no money left",
    "policy": "refuses with the protocol's error of a content filter",
    "context-length": "refuses with 400 because the prompt is too long",
    "model-missing": "refuses with 404 because it does not have the model",
    "bad-request": "refuses with 400",
    # answers with status 200
    "error-in-200": "answers 200 with an error object",
    "error-first-event": "the first event of the stream is an error",
    "role-then-error": "the first event has no token, the second is an error",
    "error-event": "an error event after so many events (3)",
    "empty-body": "answers 200 with no bytes",
    "empty-answer": "answers with no text",
    "invalid-json": "answers 200 with broken JSON; in a stream after so many events (1)",
    "cut-answer": "sends half of the answer and breaks the connection",
    "truncated": "stops by the limit of tokens",
    "content-filter": "stops by the content filter",
    "malformed-arguments": "calls a tool with arguments that are not JSON",
    "usage-missing": "reports no usage",
    "usage-zero": "reports 0 tokens",
    "cost": "reports this cost in USD, as OpenRouter does",
    "huge": "answers with so many bytes of text",
    "gzip": "compresses the answer",
    "bad-gzip": "says gzip and is not",
    # streams
    "slow-first-token": "sends the headers at once, and the first event so many seconds later",
    "comments": "sends so many keep-alive comments (3) before the first event",
    "trickle": "waits so many seconds between two events",
    "hold-in-stream": "waits after so many events (3) until the upstream is told to release",
    "bytewise": "sends every byte by itself",
    "hang-in-stream": "stops sending after so many events (3), and keeps the connection",
    "die": "breaks the connection after so many events (3)",
    "reset-in-stream": "after so many events (3) sends the others at once, without the end, and resets the connection",
    "no-end": "ends the stream properly by HTTP, without the protocol's end",
    "stream-ignored": "answers a request for a stream with a whole answer",
    "crlf": "ends lines with CR LF",
}


class UnknownBehaviourError(Exception):
    """A name that is not in the list."""


@dataclass(frozen=True)
class Behaviour:
    """The misbehaviours of one request, each with its argument."""

    chosen: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> "Behaviour":
        chosen = {}
        for each in filter(None, text.split("+")):
            name, _, argument = each.strip().partition("=")
            if name not in BEHAVIOURS:
                raise UnknownBehaviourError(f"found the behaviour {name!r}, expected one of {', '.join(BEHAVIOURS)}")
            chosen[name] = argument
        return cls(chosen)

    def __contains__(self, name: str) -> bool:
        return name in self.chosen

    def __iter__(self) -> Iterator[str]:
        return iter(self.chosen)

    def number(self, name: str, default: float = 0) -> float:
        return float(self.chosen.get(name) or default)

    def text(self, name: str) -> str:
        return self.chosen.get(name, "")
