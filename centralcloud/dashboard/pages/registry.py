"""All pages, in the order of the navigation."""

from typing import Final

from centralcloud.dashboard.pages import activity, fleet, incidents, overview

PAGES: Final = (overview.PAGE, incidents.PAGE, fleet.PAGE, activity.PAGE)
