"""`centralcloud demo`: the whole loop on one machine."""

from enum import StrEnum
from typing import Annotated

import typer


class DemoRule(StrEnum):
    """Rules that the demonstration shows."""

    THRESHOLD = "threshold"
    ADAPTIVE = "adaptive"


def demo(
    rule: Annotated[DemoRule, typer.Option(help="Rule that learns; threshold: the specification's.")] = (
        DemoRule.ADAPTIVE
    ),
    instances: Annotated[int, typer.Option(min=1, max=50, help="Simulated instances.")] = 5,
    seconds: Annotated[float | None, typer.Option(min=1, help="End after this long; without it, at Ctrl-C.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 1,
    dashboard: Annotated[
        bool, typer.Option("--dashboard", help="Also serve the pages that show it, on port 8480.")
    ] = False,
) -> None:
    """Show the whole loop at work, until Ctrl-C.

    An embedded PostgreSQL, the daemon, and a simulated fleet of routers that start with misleading scores. Needs no
    settings. Everything it writes is in .centralcloud/demo/ of the working folder.

    With the rule adaptive the leading model silently degrades after half a minute and recovers later; a demonstration of
    90 seconds shows the whole story, one of 30 to 90 seconds shows it faster, and a shorter one without the incident.
    """
    from centralcloud.demo.demonstration import run_demo
    from centralcloud.runtime.extras import require_extra

    require_extra("embedded")
    raise typer.Exit(run_demo(rule=rule.value, instances=instances, seconds=seconds, seed=seed, dashboard=dashboard))
