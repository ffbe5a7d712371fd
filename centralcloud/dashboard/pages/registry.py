"""All pages, in the order of the navigation."""

from typing import Final

from centralcloud.dashboard.pages import money, overview

PAGES: Final = (overview.PAGE, money.PAGE)
