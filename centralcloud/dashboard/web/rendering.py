"""Rendering: models become HTML by the templates of this package."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from centralcloud import __version__
from centralcloud.contracts.text import escape_steering
from centralcloud.dashboard.web import formats
from centralcloud.dashboard.web.assets import Assets
from centralcloud.dashboard.web.page import Page
from centralcloud.dashboard.web.times import moment, since

_FILTERS: Final = {
    "number": formats.number,
    "percent": formats.percent,
    "usd": formats.usd,
    "usd_of_nano": formats.usd_of_nano,
    "score": formats.score,
    "milliseconds": formats.milliseconds,
    "signed_percent": formats.signed_percent,
    "since": since,
}


class Renderer:
    """Renders pages and their fragments. Undefined names in a template are errors, and every value is escaped."""

    def __init__(self, assets: Assets, navigation: Sequence[Page]) -> None:
        self._environment = Environment(
            loader=PackageLoader("centralcloud.dashboard"),
            autoescape=True,
            auto_reload=False,
            undefined=StrictUndefined,
            finalize=_visible,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= _FILTERS
        self._environment.filters["moment"] = _moment
        self._environment.globals |= {
            "asset": assets.url,
            "navigation": [page for page in navigation if page.in_navigation],
            "version": __version__,
        }

    def fragment(self, page: Page, name: str, model: object, zone: ZoneInfo) -> str:
        """Return the HTML of a fragment from ``<page>/<name>.html``, in which the model is `m`; all share one banner."""
        folder = "shared" if name == "banner" else page.name
        return self.render(f"{folder}/{name}.html", m=model, zone=zone)

    def page(self, page: Page, fragments: Mapping[str, str], **values: Any) -> str:
        """Return the whole page from ``<page>.html``, with its fragments in their places."""

        def fragment(name: str) -> Markup:
            return Markup('<div id="{}" data-live>{}</div>').format(name, Markup(fragments[name]))  # noqa: S704

        return self.render(f"{page.name}.html", page=page, fragment=fragment, **values)

    def render(self, template: str, **values: Any) -> str:
        """Return a template with values."""
        return self._environment.get_template(template).render(values)


def _visible(value: object) -> object:
    """Show the invisible characters of a text: one that turns the direction of writing would turn what stands beside it."""
    if not isinstance(value, str) or isinstance(value, Markup) or value.isprintable():
        return value
    return "\n".join(map(escape_steering, value.split("\n")))


@pass_context
def _moment(context: Context, at: Any) -> Markup:
    return moment(at, context["zone"], datetime.now(UTC))
