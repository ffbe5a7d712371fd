"""Progress of a long run, by room: what runs, how many are done, how long the rest usually takes.

A line for each room (a folder of tests) when its last test has ended, a line for each failure at once. On a terminal the
last line shows the moment; a log gets a line when nothing was printed for a while.
"""

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

import pytest
from xdist.workermanage import WorkerController

from support.schedule import Durations, record_durations

#: Between two lines in a log.
_SILENCE_SECONDS = 20.0
#: Between two changes of the last line of a terminal.
_REFRESH_SECONDS = 0.5
_ROOM_DEPTH = 2


def room_of(nodeid: str) -> str:
    """Return the folder of a test: `integration/store`, `chaos`."""
    folders = PurePath(nodeid.split("::")[0]).parts[:-1]
    return "/".join(folders[1 : 1 + _ROOM_DEPTH]) or "tests"


def clock(seconds: float) -> str:
    """Return minutes and seconds: `4:05`."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


class Progress:
    """Prints the progress instead of a dot for each test. Lives where the reports arrive: not in the workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._workers = int(config.option.numprocesses or 0)
        self._started = time.monotonic()
        self._printed = self._started
        self._total = 0
        self._done = 0
        self._expected_seconds = 0.0
        self._left: Counter[str] = Counter()
        self._counts: dict[str, Counter[str]] = {}
        self._running: set[str] = set()
        self._measured: dict[str, Counter[str]] = {}
        self._ended = False

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Count as always; print neither a letter nor a word before the summary."""
        if self._ended or report.when not in ("setup", "call", "teardown"):
            return None
        if report.passed:
            return ("passed" if report.when == "call" else ""), "", ""
        if report.skipped:
            return "skipped", "", ""
        return ("failed" if report.when == "call" else "error"), "", ""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if not self._workers:
            self._begin([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: WorkerController, ids: Sequence[str]) -> None:
        if not self._total:
            self._begin(ids)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._running.add(nodeid)
        self._show_moment()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when:
            self._measured.setdefault(report.nodeid, Counter())[report.when] += report.duration
        counts = self._counts.setdefault(room_of(report.nodeid), Counter())
        category, _, _ = self.pytest_report_teststatus(report) or ("failed", "", "")
        if category:
            counts[category] += 1
        if report.failed:
            step = "" if report.when == "call" else f" ({report.when})"
            self._print(f"FAILED{step} {report.nodeid}", red=True)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._running.discard(nodeid)
        self._done += 1
        room = room_of(nodeid)
        self._left[room] -= 1
        if not self._left[room]:
            counts = self._counts.get(room, Counter())
            told = ", ".join(f"{count} {category}" for category, count in sorted(counts.items(), key=_by_weight))
            self._print(f"{self._share()} {clock(self._elapsed())}  {room}: {told}", red=bool(counts["failed"]))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._ended = True
        self._erase()
        if self._config.option.record_durations and self._measured:
            record_durations(self._measured)

    def _begin(self, nodeids: Sequence[str]) -> None:
        self._total = len(nodeids)
        self._left = Counter(map(room_of, nodeids))
        units = Durations.load().units(nodeids).values()
        self._expected_seconds = max(max(units, default=0.0), sum(units) / max(1, self._workers))
        parts = Counter(room_of(nodeid).split("/")[0] for nodeid in nodeids)
        listed = ", ".join(f"{part} {count}" for part, count in parts.items())
        workers = f" in {self._workers} processes" if self._workers > 1 else ""
        self._print(
            f"{self._total} tests{workers}, usually {clock(self._expected_seconds)} on 2 quiet cores: {listed}; "
            "a room is listed when it is done"
        )

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _share(self) -> str:
        return f"[{100 * self._done // max(1, self._total):3}%]"

    def _show_moment(self) -> None:
        """Say what runs: on a terminal always, in a log after a silence."""
        reporter = self._reporter()
        since = time.monotonic() - self._printed
        if reporter is None or not self._total or since < (_REFRESH_SECONDS if reporter.isatty() else _SILENCE_SECONDS):
            return
        rooms = ", ".join(sorted({room_of(nodeid) for nodeid in self._running})) or "nothing"
        moment = (
            f"{self._share()} {clock(self._elapsed())} of {clock(self._expected_seconds)}  "
            f"{self._done} of {self._total} done, running: {rooms}"
        )
        if reporter.isatty():
            reporter.rewrite(moment[: reporter._tw.fullwidth - 1], erase=True)
            self._printed = time.monotonic()
        else:
            self._print(moment)

    def _print(self, line: str, **markup: bool) -> None:
        reporter = self._reporter()
        if reporter is None:
            return
        self._erase()
        reporter.write_line(line, **markup)
        self._printed = time.monotonic()

    def _erase(self) -> None:
        reporter = self._reporter()
        if reporter is not None and reporter.isatty():
            reporter.rewrite("", erase=True)
            reporter.rewrite("")

    def _reporter(self) -> pytest.TerminalReporter | None:
        return self._config.pluginmanager.get_plugin("terminalreporter")


def _by_weight(count: tuple[str, int]) -> tuple[bool, str]:
    return count[0] == "passed", count[0]
