"""All pages, in the order of the navigation."""

from typing import Final

from centralcloud.dashboard.pages import overview

PAGES: Final = (overview.PAGE,)
