"""Sending a batch that the database may refuse because of one item in it."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg

from centralcloud.runtime.postgres.errors import is_refusal

_Item = TypeVar("_Item")


def send_isolating_rejects(
    items: Sequence[_Item], send: Callable[[Sequence[_Item]], object]
) -> list[tuple[_Item, psycopg.Error]]:
    """Send `items` as one batch; when the database refuses it as data, halve it until the culprits stand alone.

    jsonb refuses some valid JSON (NUL characters, lone surrogates, nesting beyond the server's stack), and one such item
    makes a whole statement fail.

    Args:
        send: sends its items in one transaction, or raises and has sent nothing.

    Returns:
        The refused items in order, each with the error; every other item has been sent.
    """
    if not items:
        return []
    try:
        send(items)
    except psycopg.Error as error:
        if not is_refusal(error):
            raise
        if len(items) == 1:
            return [(items[0], error)]
        middle = len(items) // 2
        return send_isolating_rejects(items[:middle], send) + send_isolating_rejects(items[middle:], send)
    return []
