"""Sending a batch of which the database may reject single items."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg

from centralcloud.runtime.postgres.errors import is_refusal

_Item = TypeVar("_Item")


def send_isolating_rejects(
    items: Sequence[_Item], send: Callable[[Sequence[_Item]], object]
) -> list[tuple[_Item, psycopg.Error]]:
    """Send `items` as one batch; when the database rejects the data, halve the batch until each bad item is isolated.

    jsonb rejects some valid JSON (NUL characters, lone surrogates, nesting beyond the server's stack), and one such item
    makes the whole statement fail.

    Args:
        send: sends its items in one transaction, or raises and has sent nothing.

    Returns:
        The rejected items in order, each with its error. Every other item was sent.
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
