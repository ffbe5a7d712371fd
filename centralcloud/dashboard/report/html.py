"""The report as one HTML file for mail and print: its style is inside, and it refers to nothing outside. Pure."""

from datetime import tzinfo
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from centralcloud import __version__
from centralcloud.contracts import COMPLEXITIES
from centralcloud.dashboard.charts import columns, frontier
from centralcloud.dashboard.costs import cost_panel
from centralcloud.dashboard.report.reading import Report
from centralcloud.dashboard.report.recommendations import leaders_of
from centralcloud.dashboard.report.section import moment
from centralcloud.dashboard.report.sections import heading, sections
from centralcloud.dashboard.sources.money import DAY
from centralcloud.dashboard.spend import History, days_of, hours_of

#: From this length on, spend is drawn by day.
_BY_DAY: Final = 3 * DAY
#: Models that the frontier shows, those with the most decisions: with hundreds, a file is too large for mail.
_MOST_POINTS: Final = 20


def report_html(report: Report, zone: tzinfo, *, empty: str | None = None) -> str:
    """Return the page.

    Args:
        empty: the only sentence of a report without decisions.
    """
    environment = Environment(
        loader=PackageLoader("centralcloud.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    room = files("centralcloud.dashboard")
    sheets = (room / "report/styles/palette.css", room / "static/charts.css", room / "report/styles/page.css")
    return environment.get_template("report.html").render(
        heading=heading(report, zone),
        empty=empty,
        sections=() if empty else sections(report, zone),
        charts={} if empty else _charts(report, zone),
        styles=Markup("\n".join(each.read_text("utf-8") for each in sheets)),  # noqa: S704 - files of this package
        made_at=moment(report.made_at, zone),
        zone=str(zone),
        version=__version__,
    )


def _charts(report: Report, zone: tzinfo) -> dict[str, Markup]:
    """Return the charts by the names of their sections; without known costs there are none."""
    charts = {}
    by_day = report.until - report.since >= _BY_DAY
    history = History(report.hours, report.first_hour, report.made_at, report.totals.unknown > 0)
    drawn = (
        days_of(history, report.since, report.until, zone) if by_day else hours_of(history, report.since, report.until)
    )
    if any(each.value for each in drawn):
        charts["summary"] = columns(drawn, unit="usd", zone=zone, label=f"Spend by {'day' if by_day else 'hour'}")
    leaders = leaders_of(report.pairs)
    shown = {
        each
        for complexity in COMPLEXITIES
        for each in sorted(
            (pair for pair in report.pairs if pair.complexity == complexity), key=lambda pair: -pair.decisions
        )[:_MOST_POINTS]
    }
    panels = [cost_panel(each, [pair for pair in report.pairs if pair in shown], leaders[each]) for each in leaders]
    if any(point.cost_of_success_usd is not None for panel in panels for point in panel.points):
        charts["routing"] = frontier(panels, label="Cost of a success and success rate by model")
    return charts
