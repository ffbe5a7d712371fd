"""All pages, in the order of the navigation."""

from typing import Final

from centralcloud.dashboard.pages import overview, pair, scores

PAGES: Final = (overview.PAGE, scores.PAGE, pair.PAGE)
