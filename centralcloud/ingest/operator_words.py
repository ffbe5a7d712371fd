"""The words of other systems, with those that an operator has added, as the database has them."""

from typing import Any, Final, NamedTuple

import psycopg

from centralcloud.contracts.words import BUILT_IN, Words, with_operator_words
from centralcloud.ingest.unusable_settings import UnusableSettings
from centralcloud.runtime.logs import get_logger
from centralcloud.runtime.postgres.query import Query

log = get_logger(__name__)


class _StoredWords(NamedTuple):
    name: str
    words: str | None


_LIST_OPERATOR_WORDS = Query(__package__, "list_operator_words", row=_StoredWords)
_PREFIX: Final = "words."
_UNUSABLE: Final = UnusableSettings()


class OperatorWords:
    """Reads the fleet settings ``words.*`` in a connection's open transaction, once, and only when they are needed.

    A batch in which every message uses the contract's own words costs no statement.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._words: Words | None = None

    def __call__(self) -> Words:
        """Return the table of words. If the stored ones cannot be used, log it, and return the built-in ones."""
        if self._words is None:
            stored = _LIST_OPERATOR_WORDS.all(self._connection)
            try:
                self._words = with_operator_words({row.name.removeprefix(_PREFIX): row.words for row in stored})
            except ValueError as error:
                if _UNUSABLE.changed(self._connection, str(error)):
                    log.error("operator_words_unusable", reason=str(error), effect="only the built-in words are used")
                self._words = BUILT_IN
            else:
                if _UNUSABLE.changed(self._connection, None):
                    log.info("operator_words_restored")
        return self._words
