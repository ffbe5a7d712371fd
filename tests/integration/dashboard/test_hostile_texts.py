"""Texts that others wrote, hostile ones, on every page: none is obeyed, none breaks out of its place."""

import asyncio
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import aiohttp
from support.browsers import Site, start_dashboard
from support.commands import run_command
from support.dashboard_life import fill_with_a_day
from support.poison import poison
from support.programs import Program
from support.servers import execute

from centralcloud.dashboard.pages.registry import PAGES

#: Elements without an end.
_VOID: Final = {"br", "col", "hr", "img", "input", "link", "meta", "wbr"}
#: Columns that the poison must have reached, so that the test is about something.
_REACHED: Final = {
    "dead_letters.field",
    "dead_letters.reason",
    "findings.message",
    "findings.subject",
    "instances.instance_id",
    "learning_control.frozen_reason",
    "model_scores.model_name",
    "model_scores.reason",
    "operator_actions.reason",
    "operator_actions.who",
    "request_plans.plan",
    "routing_records.model",
    "routing_records.provider",
}


#: Rows that a day of a fleet lacks by itself.
_MORE: Final = (
    "UPDATE learning_control SET frozen_at = now(), frozen_reason = 'because'",
    "ALTER TABLE operator_actions DISABLE TRIGGER USER",
    "UPDATE operator_actions SET reason = 'because'",
    """
    UPDATE routing_records SET workspace = 'acme', worker = 'w', task_id = 't', agent_type = 'a', policy = 'p',
        finish_reason = 'stop', classifier = 'c', model_version = 'v', experiment = 'e', arm = 'treatment', rule = 'r',
        attempt = 1, request_id = (lpad(to_hex((1000 * extract(epoch FROM now()))::bigint), 12, '0') || '7'
        || lpad(id::text, 19, '0'))::uuid, created_at = now()
    WHERE id IN (SELECT id FROM routing_records ORDER BY id DESC LIMIT 12)
    """,
    """
    INSERT INTO request_plans (request_id, plan)
    SELECT DISTINCT request_id, jsonb_build_object('strategy', 's', 'policy', 'p', 'reason', 'r', 'task_type', 't',
        'targets', jsonb_build_array(jsonb_build_object('model', model, 'provider', provider, 'reason', 'r')))
    FROM routing_records WHERE request_id IS NOT NULL
    """,
    """
    INSERT INTO target_health (kind, key, reporter, state, reason, reported_at, expires_at)
    VALUES ('breaker', 'gpt-4o@openai|0a1b2c3d', 'gw', 'open', 'calls of it failed', now(), now() + interval '1 hour')
    """,
    """
    INSERT INTO spend_periods (meter, period_start, period_end, unit, limit_amount, spent)
    VALUES ('budget/workspace:acme:daily', now(), now() + interval '1 hour', 'nano_usd', 1000, 1000)
    """,
    """
    INSERT INTO spend_alerts (meter, period_start, period_end, holder, threshold, limit_amount, spent, problem)
    SELECT meter, period_start, period_end, 'h', 0.5, 1000, 1000, 'refused' FROM spend_periods
    """,
)


class _Markup(HTMLParser):
    """Notes what should not be there."""

    def __init__(self) -> None:
        super().__init__()
        self.complaints: list[str] = []
        self.links: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        for name, value in values.items():
            if name.startswith("on") or name == "style" or "evil" in name:
                self.complaints.append(f"the attribute {name} of <{tag}>")
            is_address = name in ("href", "src", "action", "data-live-url")
            if is_address and not re.match(r"[/#?]|https?://[a-z./-]*$|$", value or ""):
                self.complaints.append(f"the address {value} of <{tag}>")
        if tag == "x-evil" or (tag == "script" and not (values.get("src") or "").startswith("/static/")):
            self.complaints.append(f"the element <{tag}> {values}")
        if values.get("href"):
            self.links.append(str(values["href"]))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in _VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        found = self._open.pop() if self._open else None
        if tag != found:
            self.complaints.append(f"</{tag}> ends <{found}>")

    def close(self) -> None:
        super().close()
        if self._open:
            self.complaints.append(f"no end of {self._open}")


def complaints(html: str) -> tuple[list[str], list[str]]:
    """Return what is wrong with a page or a part of one, and the links in it."""
    parser = _Markup()
    parser.feed(html)
    parser.close()
    return parser.complaints, parser.links


async def _fragments(site: Site, paths: list[str]) -> dict[str, str]:
    """Return the fragments of pages as the live updates send them."""
    found = {}
    async with aiohttp.ClientSession() as session:
        for path in paths:
            async with session.ws_connect(
                site.url.replace("http", "ws") + "/live", params={"page": path, "revision": 0}, origin=site.url
            ) as socket:
                message = json.loads(await socket.receive_str(timeout=10))
                found |= {f"live {path} {name}": html for name, html in message["fragments"].items()}
    return found


def test_no_text_of_the_database_breaks_out_of_a_page(
    start: Callable[..., Program], database_url: str, tmp_path: Path
) -> None:
    fill_with_a_day(database_url, rounds=2, tasks=150)
    for statement in _MORE:
        execute(database_url, statement)
    reached = poison(database_url)
    assert reached >= _REACHED, sorted(_REACHED - reached)
    site = start_dashboard(start, database_url)
    todo = [page.path for page in PAGES if "{" not in page.path]
    seen: dict[str, str] = {}
    per_page: dict[str, int] = {}
    while todo:
        path = todo.pop()
        if path in seen or path.startswith("/static/"):
            continue
        page = "/".join(path.split("?")[0].split("/")[:2])
        per_page[page] = per_page.get(page, 0) + 1
        if per_page[page] > 3:
            continue
        seen[path] = site.html(path)
        _, links = complaints(seen[path])
        todo += [link.split("#")[0] for link in links if link.startswith("/")]
    seen |= asyncio.run(_fragments(site, [path for path in seen if not path.startswith(("/actions/", "/docs/"))]))
    report = tmp_path / "report.html"
    done = run_command("centralcloud", "report", "--html", str(report), env={"DATABASE_URL": database_url})
    assert done.returncode == 0, done.stderr
    wrong = {path: found for path, html in seen.items() if (found := complaints(html)[0])}
    assert wrong == {}
    assert "&lt;x-evil" in report.read_text()
    assert "<x-evil" not in report.read_text()
    shown = {"/" + path.split("?")[0].split("/")[1] for path, html in seen.items() if "&lt;x-evil" in html}
    assert shown >= {"/", "/scores", "/fleet", "/incidents", "/activity", "/pair", "/gateway", "/request", "/money"}
    assert not [path for path, html in seen.items() if "internal error" in html]
