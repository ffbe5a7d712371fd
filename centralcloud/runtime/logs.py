"""Structured logs: events with fields, through Python's logging, which a router that uses the library configures itself.

The programs log to standard error: JSON for machines, colours on a terminal.
"""

import logging
import sys
from typing import TYPE_CHECKING, Any, Final, cast

from centralcloud.runtime.styles import shows_styles

if TYPE_CHECKING:
    import structlog

_PACKAGES: Final = ("centralcloud", "instance_agent")


def get_logger(name: str) -> "structlog.stdlib.BoundLogger":
    """Return the logger of a module: ``log.info("event_name", field=value)``. Level and handlers are those of `logging`."""
    return cast("structlog.stdlib.BoundLogger", _Logger(name))


class _Logger:
    """A logger that loads structlog for its first event: the import takes as long as that of a database driver."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._logger: Any = None

    def __getattr__(self, method: str) -> Any:
        if self._logger is None:
            import structlog

            self._logger = structlog.wrap_logger(
                logging.getLogger(self._name),
                processors=[
                    structlog.stdlib.filter_by_level,
                    *_shared_processors(),
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


def bind_to_logs(**fields: Any) -> None:
    """Add fields to every event that this thread logs from now on."""
    import structlog

    structlog.contextvars.bind_contextvars(**fields)


def configure_logs(level: str = "info", log_format: str = "auto") -> None:
    """Log to standard error: our events from `level` on, and warnings of libraries. For the programs.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        log_format: ``json``, ``console``, or ``auto``: console on a terminal, JSON elsewhere.
    """
    import structlog

    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    final: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json:
        final += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        final.append(structlog.dev.ConsoleRenderer(colors=shows_styles(sys.stderr)))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_shared_processors(), processors=final))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # its warnings repeat our own events
    for package in _PACKAGES:
        logging.getLogger(package).setLevel(level.upper())
