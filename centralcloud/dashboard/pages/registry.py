"""All pages, in the order of the navigation."""

from typing import Final

from centralcloud.dashboard.pages import (
    activity,
    experiment,
    experiments,
    fleet,
    gateway,
    incidents,
    money,
    overview,
    pair,
    request,
    scores,
)

PAGES: Final = (
    overview.PAGE,
    scores.PAGE,
    pair.PAGE,
    incidents.PAGE,
    fleet.PAGE,
    money.PAGE,
    gateway.PAGE,
    request.PAGE,
    experiments.PAGE,
    experiment.PAGE,
    activity.PAGE,
)
