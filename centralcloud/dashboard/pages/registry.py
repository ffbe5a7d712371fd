"""All pages, in the order of the navigation."""

from typing import Final

from centralcloud.dashboard.pages import activity, fleet, incidents, money, overview, pair, scores

PAGES: Final = (overview.PAGE, scores.PAGE, pair.PAGE, incidents.PAGE, fleet.PAGE, money.PAGE, activity.PAGE)
