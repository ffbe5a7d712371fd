"""Every page in a browser: no complaint, no overflow, no small text, nothing that a keyboard, a screen reader or a viewer
without a script cannot reach."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.browsers import Site, Visit, wait_for_state

WIDTHS = (390, 640, 820, 1100, 1440, 1920)
#: Elements whose box reaches out of the window, apart from those inside of a part that scrolls by itself.
_OVERFLOWING = """() => {
  const width = document.documentElement.clientWidth, found = [];
  if (document.documentElement.scrollWidth > width) {
    for (const each of document.body.querySelectorAll("*")) {
      const box = each.getBoundingClientRect();
      if (box.width && box.right > width + 1 && !each.closest("[data-scrolls], nav"))
        found.push(
          `${each.tagName}.${each.getAttribute("class")} to ${Math.round(box.right)}: ${each.textContent.slice(0, 40)}`
        );
    }
    found.push(`the page is ${document.documentElement.scrollWidth} wide in a window of ${width}`);
  }
  return found.slice(-4);
}"""
#: Parts that scroll sideways, and texts that reach out of their card, but for those in closed details.
_CUT_OFF = """() => [...document.querySelectorAll("main [data-scrolls], main .card, main .badge")]
  .filter((each) => each.checkVisibility() && !each.closest("details") && each.scrollWidth > each.clientWidth + 1)
  .map((each) => `${each.className}: ${each.textContent.trim().slice(0, 60)}`)"""
#: Visible text that is smaller than 11 px on the screen, also that of a drawing which is scaled.
_SMALL_TEXT = """() => {
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const each = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !each.checkVisibility()) continue;
    if (each.closest("title, script, style, [aria-hidden=true]")) continue;
    let size = parseFloat(getComputedStyle(each).fontSize);
    const drawing = each.closest("svg");
    if (drawing) size *= drawing.getScreenCTM().a;
    const name = `${each.tagName}.${each.getAttribute("class")}`;
    if (size < 10.95) found.add(`${size.toFixed(1)} px ${name}: ${walker.currentNode.data.trim().slice(0, 30)}`);
  }
  return [...found].slice(0, 5);
}"""


@pytest.fixture(params=["day", "empty", "crowded"])
def site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(request.param)
    return found


def test_every_page_becomes_live_without_a_complaint(site: Site, visit: Visit) -> None:
    context = visit.context()
    for path in site.paths():
        page = visit.open(site.url + path, context=context)
        assert page.locator("h1").count() == 1, path
        assert page.title().endswith("· CentralCloud"), path
        page.close()


def test_no_page_is_wider_than_its_window(site: Site, visit: Visit) -> None:
    page, found = visit.context().new_page(), {}
    for path in site.paths():
        page.goto(site.url + path)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            if overflowing := page.evaluate(_OVERFLOWING):
                found[path, width] = overflowing
    assert not found


def test_on_a_phone_no_table_is_cut_off(site: Site, visit: Visit) -> None:
    """A table that scrolls sideways hides its numbers; on a phone nothing tells that there are more."""
    page, found = visit.context(viewport={"width": 390, "height": 844}).new_page(), {}
    for path in site.paths():
        page.goto(site.url + path)
        if cut := page.evaluate(_CUT_OFF):
            found[path] = cut
    assert not found


@pytest.mark.parametrize("has_script", [True, False])
def test_on_a_phone_the_navigation_shows_the_page_that_is_open(day: Site, visit: Visit, has_script: bool) -> None:
    page = visit.context(viewport={"width": 390, "height": 844}, java_script_enabled=has_script).new_page()
    for path in day.paths():
        page.goto(day.url + path)
        box = page.locator(".top nav [aria-current]").bounding_box()
        assert box is not None
        assert box["x"] >= -1, path
        assert box["x"] + box["width"] <= 391, path


def test_no_text_is_smaller_than_11_pixels(day: Site, visit: Visit) -> None:
    page, found = visit.context().new_page(), {}
    for path in day.paths():
        page.goto(day.url + path)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        for width in (390, 1440):
            page.set_viewport_size({"width": width, "height": 900})
            if small := page.evaluate(_SMALL_TEXT):
                found[path, width] = small
    assert not found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_of_wcag_2_2_aa(day: Site, visit: Visit, axe: str, scheme: str) -> None:
    context = visit.context(color_scheme=scheme, bypass_csp=True)
    addresses = [day.url + path for path in [*day.paths(), "/no/such/page"]]
    assert visit.violations(context, addresses, axe) == {}


def test_light_and_dark_follow_the_system_and_the_button_remembers(day: Site, visit: Visit) -> None:
    context = visit.context(color_scheme="dark")
    page = visit.open(day.url, context=context)
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(13, 17, 23)"
    page.click("#scheme")
    assert page.evaluate(background) == "rgb(245, 246, 248)"
    assert (
        page.request.get(f"{day.url}/scores").text().startswith('<!doctype html>\n<html lang="en" data-scheme="light">')
    )
    page.reload()
    assert page.evaluate(background) == "rgb(245, 246, 248)"
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"


def test_a_dashboard_without_actions_shows_commands_in_place_of_their_buttons(day: Site, visit: Visit) -> None:
    page, shown = visit.context().new_page(), {}
    for path in day.paths():
        page.goto(day.url + path)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        if buttons := page.locator(".act:visible").all_inner_texts():
            shown[path] = buttons
    assert not shown


def test_each_link_of_the_navigation_leads_to_its_page(day: Site, visit: Visit) -> None:
    page = visit.open(day.url)
    titles = page.locator("header nav a").all_inner_texts()
    assert titles[0] == "Overview"
    for title in titles:
        page.click(f"header nav a:text-is('{title}')")
        wait_for_state(page, "live")
        assert page.locator("header nav a[aria-current=page]").all_inner_texts() == [title]
        assert title in page.title()


def test_the_keyboard_reaches_every_control_and_the_focus_is_visible(day: Site, visit: Visit) -> None:
    context = visit.context()
    context.add_init_script("window.WebSocket = class { close() {} }")  # a page that stays as it is
    for path in day.paths():
        page = visit.open(day.url + path, live=False, context=context)
        assert _focused_by_tab(page, "a.skip"), path
        assert page.locator("a.skip").bounding_box()["x"] > 0, "the skip link shows with the focus"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "content"
        page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
        page.evaluate("getSelection().removeAllRanges()")
        wanted = page.evaluate(_NUMBER_CONTROLS)
        seen, invisible = set(), []
        for number, visible, name in _tabs_through(page, wanted + 20):
            seen.add(number)
            if not visible:
                invisible.append(name)
        assert len(seen) == wanted, (path, page.evaluate(_NOT_REACHED, sorted(seen)))
        assert not invisible, path
        page.close()


#: Numbers what the keyboard must reach, and returns how many there are.
_NUMBER_CONTROLS = """() => {
  const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
    .filter((each) => each.checkVisibility() && !each.disabled && each.type !== "hidden");
  all.forEach((each, number) => { each.dataset.number = number; });
  return all.length;
}"""
_NOT_REACHED = """(seen) => [...document.querySelectorAll("[data-number]")]
  .filter((each) => !seen.includes(Number(each.dataset.number)))
  .map((each) => each.outerHTML.slice(0, 120)).slice(0, 4)"""
#: The number of what has the focus, whether that can be seen, and its HTML.
_FOCUSED = """() => {
  const each = document.activeElement, style = getComputedStyle(each);
  if (each === document.body) return null;
  const visible = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return [each.dataset.number, visible, each.outerHTML.slice(0, 120)];
}"""


def _focused_by_tab(page: Any, selector: str) -> bool:
    page.keyboard.press("Tab")
    found: bool = page.evaluate("(selector) => document.activeElement.matches(selector)", selector)
    return found


def _tabs_through(page: Any, most: int) -> Iterator[tuple[int, bool, str]]:
    page.evaluate("document.body.tabIndex = -1; document.body.focus()")
    page.evaluate("document.body.removeAttribute('tabindex')")
    for _ in range(most):
        page.keyboard.press("Tab")
        focused = page.evaluate(_FOCUSED)
        if focused is None:
            return
        if focused[0] is not None:
            yield int(focused[0]), *focused[1:]


def test_every_page_is_readable_and_its_links_work_without_javascript(day: Site, visit: Visit) -> None:
    context = visit.context(java_script_enabled=False)
    page = visit.open(day.url, live=False, context=context)
    for title in page.locator("header nav a").all_inner_texts():
        page.click(f"header nav a:text-is('{title}')")
        assert page.locator("header nav a[aria-current=page]").inner_text() == title
        assert len(page.inner_text("main")) > 100
        assert page.locator("time.since").evaluate_all("all => all.every((each) => each.textContent)")
        assert page.inner_text("#state") == "as of now"
        assert page.locator("button:visible", has_text="Copy").count() == 0, "it needs a script"
    for path in day.paths():
        page.goto(day.url + path)
        assert len(page.inner_text("main")) > 100, path


def test_times_are_those_of_the_viewers_zone(day: Site, visit: Visit) -> None:
    context = visit.context(timezone_id="Asia/Tokyo")
    page = visit.open(day.url, context=context)
    page.reload()
    assert page.input_value("footer input[name=zone]") == "Asia/Tokyo", "the browser's own, from the second page on"
    page.fill("footer input[name=zone]", "Europe/Berlin")
    page.press("footer input[name=zone]", "Enter")
    assert page.input_value("footer input[name=zone]") == "Europe/Berlin"
    assert page.locator("time.since").first.get_attribute("title")


def test_hostile_names_are_only_text(crowded: Site, visit: Visit) -> None:
    page = visit.open(f"{crowded.url}/?models=all")
    assert page.locator("main script").count() == 0
    assert page.locator("main img").count() == 0
    assert "<script>alert(1)</script>" in page.inner_text("main")
    assert "{{ 7 * 7 }}" in page.inner_text("main")


def test_a_viewer_who_wants_less_motion_gets_none(day: Site, visit: Visit) -> None:
    page = visit.open(day.url, reduced_motion="reduce")
    moving = "() => { const each = document.createElement('i'); each.className = 'flash'; document.body.append(each);"
    moving += " return getComputedStyle(each).animationName; }"
    assert page.evaluate(moving) == "none"
    assert visit.open(day.url).evaluate(moving) == "flash"
