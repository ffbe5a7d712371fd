"""The course of a demonstration: every second it follows the script, measures the fleet and returns the state."""

from typing import Final

from centralcloud.demo.fleet import Fleet
from centralcloud.demo.incident import INCIDENT_PAIR, Incident
from centralcloud.demo.progress import Progress
from centralcloud.demo.simulated_models import SimulatedModels
from centralcloud.demo.state import LoopState, State, read_loop
from centralcloud.demo.story import Story
from centralcloud.demo.summary import Result
from centralcloud.runtime.postgres.database import Database
from centralcloud.runtime.wording import counted

#: How long the fleet works before learning begins; in a short demonstration this share of it.
_BEFORE_LEARNING_SECONDS: Final = 4.0
_BEFORE_LEARNING_SHARE: Final = 0.2


class Course:
    """Script, measurements and story of one demonstration.

    Attributes:
        learning_begins: seconds after the start at which `begin_learning` is due.
        story: what has happened so far.
    """

    def __init__(
        self,
        database: Database,
        fleet: Fleet,
        simulated: SimulatedModels,
        *,
        exploration: float,
        incident: bool,
        seconds: float | None,
        dashboard: str | None = None,
        exports: str | None = None,
    ) -> None:
        """Begin the story.

        Args:
            seconds: length of the demonstration; None: until it is ended.
            dashboard: address of the pages that show it.
            exports: the line for a shell that their commands need.
        """
        self._database = database
        self._fleet = fleet
        self._simulated = simulated
        self._exploration = exploration
        self._dashboard, self._exports = dashboard, exports
        self._progress = Progress()
        self.story = Story()
        self._incident = Incident(simulated, self.story, seconds=seconds) if incident else None
        self._before: tuple[float, int] = (0.0, 0)
        share = _BEFORE_LEARNING_SECONDS if seconds is None else _BEFORE_LEARNING_SHARE * seconds
        self.learning_begins = min(_BEFORE_LEARNING_SECONDS, share)
        self.story.add(
            0.0,
            f"{counted(fleet.size, 'router')} choose models for their tasks, by scores that mislead"
            if fleet.size > 1
            else "1 router chooses models for its tasks, by scores that mislead",
        )

    @property
    def learning(self) -> bool:
        """Whether learning has begun."""
        return self._progress.learning_since is not None

    def begin_learning(self) -> None:
        """Note that the daemon has started."""
        self._progress.begin_learning()
        self.story.add(
            self._progress.learning_since or 0.0, "CentralCloud starts to learn from the outcomes of the tasks"
        )

    def tick(self, seconds: float) -> State:
        """Measure the fleet `seconds` after the start, and follow the script."""
        progress = self._progress
        progress.mark(seconds, self._fleet.counters(), self._simulated.best_success_rate())
        self.story.follow_leaders(seconds, progress.leaders())
        if self._incident:
            share = progress.shares()[INCIDENT_PAIR]
            self._incident.advance(self._database, seconds, share=share, rate=progress.recent_rate or 0.0)
        loop = read_loop(self._database)
        elapsed, events = seconds - self._before[0], loop.events - self._before[1]
        self._before = (seconds, loop.events)
        return State(
            seconds=seconds,
            routers=self._fleet.size,
            exploration=self._exploration,
            points=tuple(progress.points),
            rate_at_start=progress.rate_at_start,
            rate=progress.recent_rate,
            best=self._simulated.best_success_rate(),
            cost_at_start=progress.cost_at_start,
            cost=progress.recent_cost,
            learning=self.learning,
            shares=progress.shares(),
            leaders=progress.leaders(),
            degraded=self._simulated.degraded(),
            loop=loop,
            events_per_second=events / max(elapsed, 0.001),
            curl=self._fleet.gateway.curl if self._fleet.gateway else None,
            dashboard=self._dashboard,
            exports=self._exports,
            story=tuple(self.story.lines),
        )

    def result(self, last: State, loop: LoopState) -> Result:
        """The numbers at the end; `loop` after the last event was ingested and learned from."""
        counters = self._fleet.counters()
        return Result(
            seconds=last.seconds,
            routers=self._fleet.size,
            in_sync=loop.at_newest,
            tasks=counters.tasks,
            events=loop.events,
            version=loop.version,
            cost_usd=counters.cost_usd,
            rate_at_start=last.rate_at_start,
            rate=last.rate,
            recent_seconds=self._progress.recent_seconds,
            best=last.best,
            learning=self.learning,
            degraded=INCIDENT_PAIR[0] if last.degraded else None,
            exploration=self._exploration,
        )

    def incident_summary(self) -> list[str]:
        """The incident in sentences; empty when the script has none."""
        return self._incident.summary() if self._incident else []
