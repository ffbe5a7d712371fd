"""The order of the tests, and their distribution to the workers: the longest first, files together.

A file runs on one worker, so that the tests of a file share its fixtures; a long test is a unit of its own. With the
longest units first, the workers end at nearly the same time. tests/durations.json holds what was measured:
`make test PYTEST_ARGS=--record-durations` writes it anew.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_FILE = Path(__file__).parents[1] / "durations.json"
#: A test that runs this long by itself is not kept with its file.
_LONG_SECONDS = 4.0
#: The guess for a test of a file that was never measured.
_UNKNOWN_SECONDS = 0.3


class Durations:
    """Measured seconds of files and, apart from them, of long tests."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self._seconds = seconds

    @classmethod
    def load(cls) -> "Durations":
        """Read what was recorded."""
        return cls(json.loads(_FILE.read_text()) if _FILE.exists() else {})

    def unit(self, nodeid: str) -> str:
        """Return what is distributed as a whole: the test itself if it is long, else its file."""
        return nodeid if nodeid in self._seconds else nodeid.split("::")[0]

    def units(self, nodeids: Iterable[str]) -> dict[str, float]:
        """Return the expected seconds of each unit of the tests."""
        counts: dict[str, int] = {}
        for nodeid in nodeids:
            counts[unit] = counts.get(unit := self.unit(nodeid), 0) + 1
        return {unit: self._seconds.get(unit, count * _UNKNOWN_SECONDS) for unit, count in counts.items()}


def record_durations(measured: Mapping[str, Mapping[str, float]]) -> None:
    """Write the durations of these tests, each by phase (setup, call, teardown) in seconds; those of other files stay."""
    files = {nodeid.split("::")[0] for nodeid in measured}
    known = json.loads(_FILE.read_text()) if _FILE.exists() else {}
    seconds = {unit: value for unit, value in known.items() if unit.split("::")[0] not in files}
    for nodeid, phases in measured.items():
        unit = nodeid if _is_long(phases) else nodeid.split("::")[0]
        seconds[unit] = seconds.get(unit, 0.0) + sum(phases.values())
    rounded = {unit: round(value, 1) for unit, value in sorted(seconds.items())}
    _FILE.write_text(json.dumps(rounded, indent=2, ensure_ascii=False) + "\n")


def _is_long(phases: Mapping[str, float]) -> bool:
    """Tell whether a test is better run apart: there, it prepares the fixtures of its file once more."""
    return phases.get("call", 0.0) >= max(_LONG_SECONDS, phases.get("setup", 0.0))


class LongestFirst(LoadScopeScheduling):
    """Distribute the units in the order of the collection, which is that of their expected duration."""

    def __init__(self, config: pytest.Config, log: Producer | None = None) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False
        self._durations = Durations.load()

    def _split_scope(self, nodeid: str) -> str:
        return self._durations.unit(nodeid)


def sort_longest_first(items: list[pytest.Item]) -> None:
    """Sort the units by expected duration; the tests of a unit stay in their order."""
    durations = Durations.load()
    units = durations.units(item.nodeid for item in items)
    items.sort(key=lambda item: (-units[durations.unit(item.nodeid)], durations.unit(item.nodeid)))
