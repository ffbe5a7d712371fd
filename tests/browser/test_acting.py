"""The actions of operators, as one performs them in a browser."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.browsers import Site, Visit, start_dashboard, wait_for_state
from support.dashboard_life import fill_with_a_day
from support.fleet import a_fleet
from support.known_experiments import BETTER, begun, configure, store_known
from support.programs import Program
from support.servers import execute

from centralcloud.dashboard.actions.registry import ACTIONS
from centralcloud.dashboard.security.passwords import Cost, hash_password

_PASSWORD = "a password that is long"
_PAIR = "SELECT model_name, complexity_level FROM model_scores WHERE model_name <> '' ORDER BY 1, 2 LIMIT 1"


@pytest.fixture(scope="module")
def acting(
    server: str, session_start: Callable[..., Program], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A dashboard that may act, over a day of life, with the roles of production."""
    users = tmp_path_factory.mktemp("users") / "users"
    users.touch(0o600)
    users.write_text(f"ada:operator:{hash_password(_PASSWORD, Cost(16, 8, 1))}\n")
    with a_fleet(server) as fleet:
        fill_with_a_day(fleet.admin)
        site = start_dashboard(
            session_start,
            fleet.dashboard,
            CENTRALCLOUD_DASHBOARD_USERS_FILE=str(users),
            CENTRALCLOUD_OPERATOR_DATABASE_URL=fleet.operator,
        )
        site.database_url = fleet.admin
        yield site
        site.program.end()


@pytest.fixture
def operator(acting: Site, visit: Visit) -> Any:
    """The context of a browser in which ada has logged in."""
    context = visit.context()
    page = visit.open(f"{acting.url}/login", live=False, context=context)
    page.fill("#name", "ada")
    page.fill("#password", _PASSWORD)
    page.keyboard.press("Enter")
    wait_for_state(page, "live")
    page.close()
    return context


def test_a_pin_is_made_by_keyboard_shown_and_taken_back(acting: Site, visit: Visit, operator: Any) -> None:
    (model, complexity), *_ = execute(acting.database_url, _PAIR)
    page = visit.open(f"{acting.url}/pair?model={model}&complexity={complexity}", context=operator)
    page.click("a:text-is('Pin the score')")
    page.fill("#score", "4.5")
    page.fill("#reason", "a test in a browser")
    page.keyboard.press("Enter")
    page.wait_for_url("**/pair?*")
    assert "4.50" in page.inner_text("main")
    pins = "SELECT score::float FROM score_pins WHERE (model_name, complexity_level) = (%s, %s)"
    assert execute(acting.database_url, pins, (model, complexity)) == [(4.5,)]
    page.click("a:text-is('Unpin')")
    page.fill("#reason", "the test is over")
    page.click("button.primary")
    page.wait_for_url("**/pair?*")
    assert execute(acting.database_url, pins, (model, complexity)) == []
    page.goto(f"{acting.url}/activity")
    assert "a test in a browser" in page.inner_text("main")


def test_an_experiment_is_paused_from_its_page_and_others_see_it(acting: Site, visit: Visit, operator: Any) -> None:
    found = begun(5, name="paused in a browser", treatments=[{"model": "ember-reason"}])
    configure(acting.database_url, found)
    store_known(acting.database_url, found, BETTER)
    other = visit.open(f"{acting.url}/experiments")
    other.wait_for_selector("text=paused in a browser", timeout=20_000)
    page = visit.open(f"{acting.url}/experiment/{found.id}", context=operator)
    assert "ember-reason is better than control by 1.2 to 3.4 points of success" in page.inner_text("main")
    assert page.locator(".differences svg:visible").count() == 1
    page.click("a:text-is('Pause')")
    page.fill("#reason", "from a browser")
    page.keyboard.press("Enter")
    page.wait_for_url("**/experiment/*")
    assert "is paused: every session goes to control" in page.inner_text("main")
    other.wait_for_selector("text=paused by hand", timeout=5000)


def test_another_viewer_sees_a_freeze_at_once(acting: Site, visit: Visit, operator: Any) -> None:
    other = visit.open(acting.url)
    page = visit.open(f"{acting.url}/actions/freeze", live=False, context=operator)
    page.fill("#reason", "a freeze from a browser")
    page.click("button.primary")
    other.wait_for_selector("#banner >> text=a freeze from a browser", timeout=5000)
    page.goto(f"{acting.url}/actions/unfreeze")
    page.fill("#reason", "the test is over")
    page.click("button.primary")
    other.wait_for_selector("#banner >> text=a freeze from a browser", state="detached", timeout=5000)


def test_without_a_reason_the_form_is_not_sent(acting: Site, visit: Visit, operator: Any) -> None:
    page = visit.open(f"{acting.url}/actions/freeze", live=False, context=operator)
    page.click("button.primary")
    assert page.evaluate("document.activeElement.id") == "reason"
    assert page.url.endswith("/actions/freeze")
    assert execute(acting.database_url, "SELECT frozen_at FROM learning_control") == [(None,)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_on_the_forms(acting: Site, visit: Visit, axe: str, scheme: str, operator: Any) -> None:
    (model, complexity), *_ = execute(acting.database_url, _PAIR)
    query = f"model={model}&complexity={complexity}"
    pages = ["/login", *(f"/actions/{name}?{query}" for name in ACTIONS)]
    context = visit.context(color_scheme=scheme, bypass_csp=True)
    context.add_cookies(operator.cookies())
    assert visit.violations(context, [acting.url + path for path in pages], axe) == {}
