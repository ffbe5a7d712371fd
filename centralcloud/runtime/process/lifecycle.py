"""The end and the forks of a process, for objects that own threads. Imports nothing heavy.

A child of `os.fork` has no thread of its parent, and locks that those threads held stay locked in it for ever. Its copies of
database connections share their sockets with the parent. So it must use no such object again: `watch_forks` lets an owner
replace what it has. A child of `multiprocessing` ends with `os._exit`, without `atexit`, and so does a worker process of
Celery: `at_exit` works there, too.
"""

import atexit
import logging  # noqa: F401 - its own hook takes its lock before a fork. Hooks run in reverse: ours must be the later one
import os
import signal
import sys
import weakref
from collections.abc import Callable
from typing import Any, Final, TypeVar

_Owner = TypeVar("_Owner", bound=object)

#: Finalizers of multiprocessing run in descending order: after those of the program, which may still publish.
_EXIT_PRIORITY: Final = -10


#: Objects that own threads, with their methods for the moment before a fork and for the child after it.
_watching: Final[list[tuple["weakref.ref[object]", Callable[[Any], None], Callable[[Any], None]]]] = []
#: Objects of a parent that its child must not finalize: a pool of connections would wait for its threads.
_left_behind: Final[list[object]] = []


def watch_forks(owner: _Owner, *, before: Callable[[_Owner], None], in_child: Callable[[_Owner], None]) -> None:
    """Call two functions with `owner` at each fork of this process, as long as the owner exists.

    Args:
        owner: an object that has threads. It is not kept alive.
        before: gets it into a state that a child can leave behind; the thread that forks waits for it.
        in_child: replaces every lock, thread, queue and connection in the child. It must not wait for a lock that is older
            than the fork.
    """
    _watching[:] = [each for each in _watching if each[0]() is not None]
    _watching.append((weakref.ref(owner), before, in_child))


def leave_behind(parents: object) -> None:
    """Keep an object of the parent process until the end of this child, without using it."""
    _left_behind.append(parents)


def at_exit(function: Callable[[], object]) -> Callable[[], None]:
    """Call `function` when this process ends by itself, also as a child of `multiprocessing` or of Celery.

    It is called once, and not in its later children.

    A process that is killed, or that ends with `os._exit` by its own call, calls nothing.

    Returns:
        A function that cancels the call.
    """
    owner = os.getpid()

    def call(**_: object) -> None:
        if os.getpid() == owner:
            function()

    atexit.register(call)
    cancel_finalizer = _finalize_in_multiprocessing(call)
    cancel_shutdown = _finalize_in_celery(call)

    def cancel() -> None:
        atexit.unregister(call)
        cancel_finalizer()
        cancel_shutdown()

    return cancel


def on_sigterm(function: Callable[[bool], object]) -> None:
    """Call `function` on SIGTERM, then do what the process did on SIGTERM until now. For the main thread.

    A handler that was set before is called afterwards. Without one the process ends by the signal, as it would have.

    Args:
        function: called with whether the process ends by the signal then, in the main thread, between two of its
            instructions: it must not wait for a lock that this thread may hold.

    Raises:
        ValueError: this is not the main thread.
    """
    former = signal.getsignal(signal.SIGTERM)

    def handle(number: int, frame: Any) -> None:
        ends = former not in (signal.SIG_IGN, None) and not callable(former)
        try:
            function(ends)
        finally:
            if callable(former):
                former(number, frame)
            elif ends:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, handle)


def _finalize_in_multiprocessing(call: Callable[[], None]) -> Callable[[], None]:
    process = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None:
        return lambda: None
    from multiprocessing.util import Finalize

    return Finalize(None, call, exitpriority=_EXIT_PRIORITY).cancel


def _finalize_in_celery(call: Callable[[], None]) -> Callable[[], None]:
    """Call it when a worker process of Celery's prefork pool ends: that is with `os._exit`, too."""
    signals = sys.modules.get("celery.signals")
    if signals is None:
        return lambda: None
    signals.worker_process_shutdown.connect(call, weak=False)
    return lambda: signals.worker_process_shutdown.disconnect(call)


def _before_fork() -> None:
    for reference, before, _ in _watching:
        if (owner := reference()) is not None:
            before(owner)


def _after_fork_in_child() -> None:
    for reference, _, in_child in _watching:
        if (owner := reference()) is not None:
            in_child(owner)


os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
