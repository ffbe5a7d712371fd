"""Findings: what an operator should know, from when to when."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import Jsonb

from centralcloud.runtime.postgres.query import Query

_PUT = Query(__package__, "upsert_finding")
_CLOSE = Query(__package__, "close_findings")


class Finding(NamedTuple):
    """Something that holds now.

    Attributes:
        kind: what it is, in a word.
        subject: whom it is about; one finding of a kind is open for a subject at a time.
        message: what was found, with numbers, and what was expected.
        details: the numbers.
    """

    kind: str
    subject: str
    message: str
    details: dict[str, Any]


def replace_findings(connection: psycopg.Connection[Any], kinds: Iterable[str], found: Iterable[Finding]) -> None:
    """Make `found` the open findings of `kinds`: new ones open, the others of these kinds close."""
    found = list(found)
    held = {"held_kinds": [each.kind for each in found], "held_subjects": [each.subject for each in found]}
    connection.execute(_CLOSE.text, {"kinds": list(kinds), **held})
    for each in found:
        connection.execute(_PUT.text, {**each._asdict(), "details": Jsonb(each.details)})
