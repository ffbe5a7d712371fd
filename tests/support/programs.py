"""A running program and its log."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from support.commands import start_command
from support.waiting import eventually


class Program:
    """A running program and its log."""

    def __init__(self, program: str, *arguments: str, log: Path, env: dict[str, str], fault: str | None = None) -> None:
        self._log_path = log
        self._log = log.open("w")
        self.process = start_command(program, *arguments, env=env, log=self._log, fault=fault)

    def output(self) -> str:
        return self._log_path.read_text()

    def log(self) -> list[dict]:
        return [json.loads(line) for line in self.output().splitlines() if line.startswith("{")]

    def events(self) -> list[str]:
        return [line["event"] for line in self.log()]

    def wait_for(self, event: str, times: int = 1) -> None:
        """Wait for an event in the log; fail at once when the program has ended without it."""

        def ended_or_logged() -> bool:
            ended = self.process.poll() is not None  # before the log is read: it is then complete
            return self.events().count(event) >= times or ended

        eventually(ended_or_logged, what=f"{event} in {self._log_path}", within_seconds=30)
        found = self.events().count(event)
        assert found >= times, f"the program ended with {self.process.poll()} before {event}:\n{self.output()[-2000:]}"

    def kill(self) -> None:
        """Kill it, as the kernel does when memory runs out."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._log.close()


@contextmanager
def programs_in(folder: Path) -> Iterator[Callable[..., Program]]:
    """A function that starts programs with their logs in `folder`; those that still run at the end are ended."""
    programs: list[Program] = []

    def start_one(program: str, *arguments: str, fault: str | None = None, **env: str) -> Program:
        programs.append(Program(program, *arguments, log=folder / f"{len(programs)}.log", env=env, fault=fault))
        return programs[-1]

    try:
        yield start_one
    finally:
        for program in programs:
            program.end()
