"""Structured logs: events with fields, through Python's logging, which a router that uses the library configures itself.

The programs log to standard error: JSON for machines, colours on a terminal.
"""

import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from centralcloud.runtime.styles import shows_styles
from centralcloud.runtime.wording import printable, printable_json

if TYPE_CHECKING:
    import structlog

_PACKAGES: Final = ("centralcloud", "instance_agent")
#: Texts of several lines.
_TRACEBACKS: Final = ("exception", "stack", "traceback")
#: Fields that a record of `logging` has itself.
_OF_THE_RECORD: Final = ("level", "timestamp")
#: Methods of a logger whose events a command at a prompt does not log.
_QUIET_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO}
_PLAIN_WORD: Final = re.compile(r"[\w./:@+-]+")


def _log_nothing(*_: object, **_fields: object) -> None:
    """Stand for an event below the level of its logger."""


def get_logger(name: str) -> "structlog.stdlib.BoundLogger":
    """Return the logger of a module: ``log.info("event_name", field=value)``. Level and handlers are those of `logging`."""
    return cast("structlog.stdlib.BoundLogger", _Logger(name))


class _Logger:
    """A logger that loads structlog for its first event that is logged: the import takes as long as a database driver's."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._logger: Any = None

    def __getattr__(self, method: str) -> Any:
        if self._logger is None:
            if method in _QUIET_LEVELS and not logging.getLogger(self._name).isEnabledFor(_QUIET_LEVELS[method]):
                return _log_nothing
            import structlog

            self._logger = structlog.wrap_logger(
                logging.getLogger(self._name),
                processors=[
                    structlog.stdlib.filter_by_level,
                    *_shared_processors(),
                    structlog.processors.format_exc_info,
                    _as_event,
                    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
                ],
                wrapper_class=structlog.stdlib.BoundLogger,
                cache_logger_on_first_use=True,
            )
        return getattr(self._logger, method)


def _shared_processors() -> tuple[Any, ...]:
    import structlog

    return (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )


class _Event(dict[str, Any]):
    """The fields of an event. A handler that is not ours, or logging without any, prints them as one line."""

    def __str__(self) -> str:
        fields = {name: value for name, value in self.items() if name not in (*_OF_THE_RECORD, *_TRACEBACKS, "event")}
        line = " ".join(
            [printable(str(self.get("event"))), *(f"{name}={_word(value)}" for name, value in fields.items())]
        )
        return "\n".join([line, *(_traceback(self[name]) for name in _TRACEBACKS if self.get(name))])


def _as_event(_logger: Any, _method: str, event: Any) -> Any:
    return _Event(event)


def _word(value: Any) -> str:
    """Return a value as one word of a line, in quotation marks if necessary."""
    if isinstance(value, str):
        return value if _PLAIN_WORD.fullmatch(value) else _to_json(value, ensure_ascii=False)
    if isinstance(value, Mapping | list | tuple):
        return _to_json(value, ensure_ascii=False, default=str)
    return _word(str(value)) if value is not None and not isinstance(value, bool | int | float) else str(value)


def _traceback(value: Any) -> str:
    text = value if isinstance(value, str) else "".join(map(str, value))
    return "\n".join(map(printable, text.rstrip("\n").split("\n")))


def _to_json(value: Any, **options: Any) -> str:
    return printable_json(json.dumps(value, **options))


def _escape_texts(_logger: Any, _method: str, event: Any) -> Any:
    """Escape control characters in the texts of an event: a name or message of others must not forge a line of the log.

    A traceback keeps its lines.
    """
    return {
        name: "\n".join(map(printable, value.split("\n")))
        if name in _TRACEBACKS and isinstance(value, str)
        else _escaped(value)
        for name, value in event.items()
    }


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {_escaped(key): _escaped(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(each) for each in value]
    return value


def load_logging() -> None:
    """Load structlog in this thread. Before threads start that log: a fork while one of them imports it would leave its lock
    held in the child for ever.
    """
    import structlog  # noqa: F401


def bind_to_logs(**fields: Any) -> None:
    """Add fields to every event that this thread logs from now on."""
    import structlog

    structlog.contextvars.bind_contextvars(**fields)


def configure_logs(level: str = "info", log_format: str = "auto", *, at_prompt: bool = False) -> None:
    """Log to standard error: our events from `level` on, and warnings of libraries. For the programs.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        log_format: ``json``, ``console``, or ``auto``: console on a terminal, JSON elsewhere.
        at_prompt: of a command that ends soon and mostly logs nothing: load structlog for the first line. A program that
            runs on loads it now: later there may be no file descriptor for it.
    """
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    handler = _ProgramHandler(sys.stderr, as_json=as_json)
    formatter = _LateFormatter(as_json=as_json, colors=shows_styles(sys.stderr))
    if not at_prompt:
        formatter.load()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # its warnings repeat our own events
    for package in _PACKAGES:
        logging.getLogger(package).setLevel(level.upper())


class _LateFormatter(logging.Formatter):
    """Formats with structlog, which takes a while to load."""

    def __init__(self, *, as_json: bool, colors: bool) -> None:
        super().__init__()
        self._as_json = as_json
        self._colors = colors
        self._formatter: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record; called under the lock of the handler."""
        return (self._formatter or self.load()).format(record)

    def load(self) -> logging.Formatter:
        """Load structlog, and return the formatter that is made of it."""
        with _without_rich():
            import structlog

        final: list[Any] = [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
        ]
        if self._as_json:
            final.append(structlog.processors.JSONRenderer(_to_json))
        else:
            final += [_escape_texts, structlog.dev.ConsoleRenderer(colors=self._colors)]
        self._formatter = structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_shared_processors(), processors=final)
        return self._formatter


@contextmanager
def _without_rich() -> Iterator[None]:
    """Let structlog believe that rich is not installed, unless it is loaded already.

    structlog loads it, and pygments, to colour tracebacks; ours are written before they get there. That is half of the time
    that structlog takes to load, and 7 MB of each program. In a router that uses the library, nothing is hidden.
    """
    hidden = "rich" not in sys.modules
    if hidden:
        sys.modules["rich"] = None  # type: ignore[assignment]  # as the import system documents it
    try:
        yield
    finally:
        if hidden:
            del sys.modules["rich"]


class _ProgramHandler(logging.StreamHandler[Any]):
    """Writes the log of a program until its last line."""

    def __init__(self, stream: Any, *, as_json: bool) -> None:
        super().__init__(stream)
        self.as_json = as_json
        self._ended = False

    def write_line(self, line: str) -> None:
        """Write a line that is formatted already."""
        with self.lock or threading.RLock():
            if not self._ended:
                self.stream.write(line)
                self.stream.flush()

    def end(self) -> None:
        with self.lock or threading.RLock():
            self._ended = True

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; called under the lock of the handler."""
        if not self._ended or record.thread == threading.main_thread().ident:
            super().emit(record)


def line_writer(name: str) -> Callable[[str], None] | None:
    """Return a function that writes lines of JSON to the log of a program; None where the log has another form or level.

    For an event of every request: the way through structlog and logging takes as long as the request itself.

    Args:
        name: of the logger, whose level must let `info` pass.
    """
    for handler in logging.getLogger().handlers:
        if (
            isinstance(handler, _ProgramHandler)
            and handler.as_json
            and logging.getLogger(name).isEnabledFor(logging.INFO)
        ):
            return handler.write_line
    return None


def end_logs() -> None:
    """Let no other thread log from now on. For a program that prints why it ends, and has nothing to say after that.

    A thread that did not stop in time may fail later, because the main thread has closed what it uses.
    """
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _ProgramHandler):
            handler.end()
