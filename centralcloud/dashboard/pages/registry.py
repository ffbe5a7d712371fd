"""All pages, in the order of the navigation."""

from typing import Final

from centralcloud.dashboard.pages import overview, request

PAGES: Final = (overview.PAGE, request.PAGE)
