"""Forms that act once, and notices that are shown once; in memory, for one process."""

import asyncio
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

_T = TypeVar("_T")

#: Within which a form must be sent.
FORM_SECONDS: Final = 3600
#: Forms that were sent within that time.
_MOST_FORMS: Final = 10_000
#: Notices that wait for their page.
_MOST_NOTICES: Final = 1000
_NOTICE_SECONDS: Final = 300.0


class FullError(Exception):
    """More forms were sent within an hour than can be remembered."""


class OnceForms(Generic[_T]):
    """Ids of forms, each of which acts once: a double click, or a page that is loaded again, gets the first outcome.

    An id is signed, so that only those of this process and of the same viewer and action count, and that showing a form
    needs no memory. Times are seconds of one clock that never goes back. For one event loop.
    """

    def __init__(self, clock: Callable[[], float], most: int = _MOST_FORMS) -> None:
        self._clock = clock
        self._most = most
        self._key = secrets.token_bytes(32)
        self._sent: OrderedDict[str, asyncio.Task[_T]] = OrderedDict()

    def new_id(self, owner: str) -> str:
        """Return an id for a form of an owner: a viewer's token and the action."""
        text = f"{int(self._clock()) + FORM_SECONDS}.{secrets.token_urlsafe(12)}"
        return f"{text}.{self._mac(owner, text)}"

    def is_valid(self, form_id: str, owner: str) -> bool:
        """Whether an id is one of this owner, and not too old."""
        text, _, mac = form_id.rpartition(".")
        if not hmac.compare_digest(mac.encode("utf-8", "replace"), self._mac(owner, text).encode()):
            return False
        return int(text.partition(".")[0]) > self._clock()

    async def run(self, form_id: str, act: Callable[[], Coroutine[Any, Any, _T]], keep: Callable[[_T], bool]) -> _T:
        """Return the outcome of the form with a valid id: of `act` the first time, then the same one.

        Args:
            keep: whether an outcome stays that of the form; otherwise it may be sent again.

        Raises:
            FullError: too many forms were sent.
        """
        task = self._sent.get(form_id)
        if task is None:
            self._forget_old()
            if len(self._sent) >= self._most:
                raise FullError
            task = self._sent[form_id] = asyncio.create_task(act())
        outcome = await asyncio.shield(task)
        if not keep(outcome):
            self._sent.pop(form_id, None)
        return outcome

    def _forget_old(self) -> None:
        now = self._clock()
        for form_id, task in list(self._sent.items()):
            if task.done() and int(form_id.partition(".")[0]) <= now:
                del self._sent[form_id]

    def _mac(self, owner: str, text: str) -> str:
        # Only text that this process signed is compared as equal, so the first part is then a number.
        return hmac.new(self._key, f"{owner}\n{text}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()


class Notices(Generic[_T]):
    """Notices by the token of a viewer's forms, which no link and no other viewer can know."""

    def __init__(self, clock: Callable[[], float], most: int = _MOST_NOTICES) -> None:
        self._clock = clock
        self._most = most
        self._waiting: OrderedDict[str, tuple[float, _T]] = OrderedDict()

    def put(self, owner: str, notice: _T) -> None:
        """Keep a notice for the owner's next page, in place of one that was not shown yet."""
        self._waiting.pop(owner, None)
        self._waiting[owner] = self._clock() + _NOTICE_SECONDS, notice
        while len(self._waiting) > self._most:
            self._waiting.popitem(last=False)

    def take(self, owner: str) -> _T | None:
        """Return the notice of an owner, once; None: there is none."""
        until, notice = self._waiting.pop(owner, (0.0, None))
        return notice if until > self._clock() else None
