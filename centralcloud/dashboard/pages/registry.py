"""All pages, in the order of the navigation."""

from typing import Final

from centralcloud.dashboard.pages import gateway, overview, request

PAGES: Final = (overview.PAGE, gateway.PAGE, request.PAGE)
