"""Servers and programs whose clock a test sets while they run, by Debian's libfaketime."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from centralcloud.runtime.postgres.embedded import EmbeddedServer
from support.servers import _prefer_speed_to_safety, embedded_folder


class FakedClock:
    """The clock of one server or program: as far from the time of this machine as `set` says.

    Clocks that only count are not faked.
    """

    def __init__(self, url: str, file: Path) -> None:
        self.url = url
        self._file = file

    def set(self, seconds: float) -> None:
        """Set the clock to `seconds` after the time of this machine; negative: before."""
        # Replaced as a whole: the server reads it at every look at its clock.
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+.0f}s")
        new.chmod(0o644)
        new.replace(self._file)


def a_faked_clock(folder: Path) -> tuple[FakedClock, dict[str, str]]:
    """Return a clock, and the variables of a program that reads it; skip the test where libfaketime is not installed."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        pytest.skip("no libfaketime here: install Debian's package libfaketime")
    file = folder / "clock"
    clock = FakedClock("", file)
    clock.set(0)
    return clock, {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@contextmanager
def a_server_with_a_clock() -> Iterator[FakedClock]:
    """Start an embedded server under libfaketime; skip the test where that is not installed."""
    with embedded_folder() as folder:
        clock, faked = a_faked_clock(folder)
        with pytest.MonkeyPatch.context() as environment:
            for name, value in faked.items():
                environment.setenv(name, value)
            server = EmbeddedServer.start(f"embedded:{folder}")
        try:
            clock.url = server.uri
            _prefer_speed_to_safety(server.uri)
            yield clock
        finally:
            clock.set(0)
            server.stop()
