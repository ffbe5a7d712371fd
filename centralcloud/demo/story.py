"""The story of a demonstration: one line for everything that happened, in the order of time. Pure."""

from typing import NamedTuple


class Line(NamedTuple):
    """A sentence of the story, and the seconds after the start when it became true."""

    seconds: float
    text: str


class Story:
    """The lines so far. A line never has an earlier time than the line before it."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._leaders: dict[str, str] = {}
        self._next_leaders: dict[str, str] = {}

    def add(self, seconds: float, text: str) -> None:
        """Add a line that became true `seconds` after the start, also if that was noticed later."""
        self.lines.append(Line(max(seconds, self.lines[-1].seconds if self.lines else 0.0), text))

    def follow_leaders(self, seconds: float, leaders: dict[str, str]) -> None:
        """Add a line for each complexity with a new leader. Call it once a second.

        A model that leads in two calls in a row counts: in between, the routers try several.
        """
        for complexity, model in leaders.items():
            before = self._leaders.get(complexity)
            if model != before and self._next_leaders.get(complexity) == model:
                self._leaders[complexity] = model
                if before is not None:
                    self.add(seconds, f"{complexity} tasks now go to {model}, no longer to {before}")
        self._next_leaders = leaders


def clock(seconds: float) -> str:
    """Return a time after the start as minutes and seconds: "1:05"."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}"
