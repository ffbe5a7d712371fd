"""Work that is divided among processes, which end with the one that started them."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from typing import Any, TypeVar

_Work = TypeVar("_Work")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def run_side_by_side(
    function: Callable[[_Work, _Item], _Result], work: _Work, items: Sequence[_Item], jobs: int | None
) -> list[_Result]:
    """Call `function(work, item)` for each item, in `jobs` processes (default: one for each core).

    Args:
        function: one of a module, not a nested one. `work` is sent to each process once, not with every item.
    """
    jobs = min(jobs or os.cpu_count() or 1, len(items))
    if jobs <= 1:
        return [function(work, item) for item in items]
    context = multiprocessing.get_context("spawn")
    # Nothing is ever sent: the workers exit when this end is closed, because this process was interrupted or killed.
    theirs, ours = context.Pipe(duplex=False)
    with theirs, ours, ProcessPoolExecutor(jobs, context, _prepare, (theirs, function, work)) as pool:
        try:
            return list(pool.map(_call, items))
        except BaseException:
            ours.close()
            raise


_prepared: tuple[Callable[[Any, Any], Any], Any]


def _prepare(parent: Connection, function: Callable[[Any, Any], Any], work: Any) -> None:
    """Keep the work of this process."""
    global _prepared
    _prepared = function, work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, too, which then closes the pipe
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Connection) -> None:
    parent.poll(None)
    os._exit(1)


def _call(item: Any) -> Any:
    function, work = _prepared
    return function(work, item)
