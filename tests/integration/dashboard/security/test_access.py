"""Rights to see a page and to change something: foreign pages, foreign names, proxies, WebSockets."""

import asyncio
import socket
from collections.abc import Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from centralcloud.dashboard.security import access
from centralcloud.dashboard.security.viewer import ANONYMOUS

from .conftest import PASSWORD, Browser, Site

PROXY = {"trusted_proxies": "127.0.0.1", "proxy_user_header": "X-Forwarded-User", "operators": "ada@example.org"}
FROM_A_LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def test_a_change_needs_a_session_its_token_and_its_page(browser: Browser) -> None:
    act = {"what": "freeze"}
    assert browser.post("/act", act).status == 401
    browser.log_in()
    form = act | {"token": browser.token()}
    refused: list[tuple[dict[str, str], dict[str, str | None]]] = [
        (act, {}),
        (act | {"token": ""}, {}),
        (act | {"token": "x" * 43}, {}),
        (form | {"token": form["token"] + "é"}, {}),
        (form, {"Origin": "http://evil.example"}),
        (form, {"Origin": "null"}),
        (form, {"Origin": None}),
        (form, {"Origin": browser.origin.replace("http:", "https:")}),
        (form, {"Sec-Fetch-Site": "cross-site"}),
        (form, {"Sec-Fetch-Site": "same-site"}),
    ]
    for sent, headers in refused:
        answer = browser.post("/act", sent, headers)
        assert answer.status == 403, (sent, headers)
        assert answer.text.count("\n") == 1
    assert browser.site.changes == []
    assert browser.post("/act", form).status == 200
    assert browser.post("/act", form, {"Sec-Fetch-Site": None}).status == 200
    assert browser.site.changes == ["freeze", "freeze"]


def test_a_token_is_that_of_one_session(browser: Browser) -> None:
    browser.log_in("ada")
    token = browser.token()
    browser.log_in("ada")
    assert browser.token() != token
    assert browser.post("/act", {"token": token}).status == 403
    assert browser.site.changes == []


def test_a_viewer_changes_nothing(browser: Browser) -> None:
    browser.log_in("vera")
    answer = browser.post("/act", {"token": browser.token()})
    assert answer.status == 403
    assert answer.text == "vera has the role viewer, expected operator: nothing was changed\n"


def test_no_token_is_the_token_of_no_one(make_site: Callable[..., Site]) -> None:
    browser = Browser(make_site(read_needs_login=False))
    assert browser.get("/scores").text == "None viewer token="
    assert browser.post("/act", {"token": ""}).status == 401
    assert browser.site.changes == []


def test_a_login_of_a_foreign_page_is_refused(browser: Browser) -> None:
    form = {"name": "ada", "password": PASSWORD}
    answer = browser.post("/login", form, {"Origin": "http://evil.example"})
    assert answer.status == 403
    assert not answer.cookie
    assert browser.post("/login", form, {"Sec-Fetch-Site": "cross-site"}).status == 403


@pytest.mark.parametrize(
    "path", ["/scores", "/live", "/nowhere", "/static/../scores", "/static%2f..%2fscores", "//scores"]
)
def test_every_page_needs_a_login_also_one_that_does_not_exist(path: str, browser: Browser) -> None:
    answer = browser.get(path)
    assert answer.status in (303, 404)
    assert "token" not in answer.text
    if answer.status == 303:
        assert (answer.location or "").startswith("/login")


def test_open_pages_need_none(browser: Browser) -> None:
    for path in ("/login", "/static/page.css", "/healthz"):
        assert browser.get(path).status == 200
    assert browser.get("/login", method="HEAD").status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_need_a_login_and_a_page_too(method: str, browser: Browser) -> None:
    assert browser.get("/scores", method=method).status == 401
    browser.log_in()
    assert browser.get("/scores", method=method).status == 403
    assert browser.get("/scores", {"Origin": browser.origin}, method).status == 405


def test_a_foreign_name_is_refused_before_anything_else(browser: Browser) -> None:
    browser.log_in()
    for host in ("evil.example", f"evil.example:{browser.site.port}", "", "localhost.evil.example"):
        answer = browser.get("/scores", {"Host": host})
        assert answer.status == 421, host
        assert answer.text.startswith("found the host ")
    assert browser.get("/healthz", {"Host": "evil.example"}).status == 421
    assert browser.get("/scores", {"Host": "localhost"}).status == 200


def test_every_answer_has_the_headers_of_security(browser: Browser) -> None:
    answers = [
        browser.get("/scores"), browser.get("/login"), browser.get("/nowhere"), browser.get("/healthz"),
        browser.post("/act"), browser.get("/scores", {"Host": "evil.example"}), browser.log_in("ada", "wrong"),
        browser.log_in(), browser.get("/scores"), browser.get("/nowhere"),
    ]  # fmt: skip
    assert [answer.status for answer in answers] == [303, 200, 303, 200, 401, 421, 401, 303, 200, 404]
    for answer in answers:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_link_in_an_alert_keeps_the_session(browser: Browser) -> None:
    """The browser sends no Strict cookie with it: a page of this server asks for the page again."""
    browser.log_in()
    kept, browser.cookies = browser.cookies, {}
    arrival = browser.get("/scores?a=b", FROM_A_LINK)
    assert arrival.status == 200
    assert '<meta http-equiv="refresh" content="0">' in arrival.text
    assert browser.get("/scores?a=b", FROM_A_LINK | {"Sec-Fetch-Site": "same-origin"}).status == 303
    browser.cookies = kept
    assert browser.get("/scores?a=b", FROM_A_LINK | {"Sec-Fetch-Site": "same-origin"}).text.startswith("ada")
    assert browser.get("/scores?a=b", FROM_A_LINK).text.startswith("ada"), "of a browser without SameSite"


def test_a_foreign_page_cannot_read_by_a_frame_or_an_image(browser: Browser) -> None:
    assert browser.get("/scores", FROM_A_LINK | {"Sec-Fetch-Dest": "iframe"}).status == 303
    assert browser.get("/scores", {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}).status == 303


def test_the_header_of_a_trusted_proxy_names_the_user(make_site: Callable[..., Site]) -> None:
    browser = Browser(make_site(users_file=None, **PROXY))
    assert browser.get("/scores").status == 303
    browser.headers = {"X-Forwarded-User": "eve@example.org"}
    assert browser.get("/scores").text.startswith("eve@example.org viewer token=")
    assert browser.post("/act", {"token": browser.token(), "what": "x"}).status == 403
    eve = browser.token()
    browser.headers = {"X-Forwarded-User": "ada@example.org"}
    assert browser.get("/scores").text.startswith("ada@example.org operator token=")
    assert browser.post("/act", {"what": "x"}).status == 403
    assert browser.post("/act", {"token": eve, "what": "x"}).status == 403
    assert browser.post("/act", {"token": browser.token(), "what": "y"}).status == 200
    assert browser.site.changes == ["y"]
    browser.headers = {"X-Forwarded-User": "ADA@example.org"}
    assert browser.get("/scores").text.startswith("ADA@example.org viewer"), "names are compared as they are"


@pytest.mark.parametrize("name", ["a\x1bb", "a b", "a\tb", "a" * 129, "a\u202eb".encode().decode("latin-1"), "\xa0"])
def test_a_name_that_cannot_be_shown_is_refused(name: str, make_site: Callable[..., Site]) -> None:
    browser = Browser(make_site(users_file=None, **PROXY))
    answer = browser.get("/scores", {"X-Forwarded-User": name})
    assert answer.status in (400, 403)
    assert "token" not in answer.text


def test_two_names_are_refused(make_site: Callable[..., Site]) -> None:
    site = make_site(users_file=None, **PROXY)
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        connection.sendall(
            b"GET /scores HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-User: eve\r\n"
            b"X-Forwarded-User: ada@example.org\r\nConnection: close\r\n\r\n"
        )
        answer = connection.makefile("rb").read().decode()
    assert answer.startswith("HTTP/1.1 403")
    assert "found 2 names in the header X-Forwarded-User" in answer


def test_the_header_from_elsewhere_is_ignored_and_logged_once(
    make_site: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    browser = Browser(make_site(**(PROXY | {"trusted_proxies": "10.0.0.1"})))
    for _ in range(3):
        spoofed = {"X-Forwarded-User": "ada@example.org", "X-Forwarded-For": "10.0.0.1", "Forwarded": "for=10.0.0.1"}
        assert browser.get("/scores", spoofed).status == 303
    assert len([record for record in caplog.records if "proxy_header_ignored" in record.getMessage()]) == 1


def test_without_its_setting_the_header_names_no_one(make_site: Callable[..., Site]) -> None:
    """A proxy that only has the certificate passes on what clients send."""
    browser = Browser(make_site(trusted_proxies="127.0.0.1"))
    assert browser.get("/scores", {"X-Forwarded-User": "ada"}).status == 303


def test_tries_behind_a_proxy_count_by_client(make_site: Callable[..., Site]) -> None:
    browser = Browser(make_site(trusted_proxies="127.0.0.1"))
    for _ in range(5):
        browser.headers = {"X-Forwarded-For": "198.51.100.7"}
        assert browser.log_in("ada", "wrong").status == 401
    assert browser.log_in("ada", "wrong").status == 429
    browser.headers = {"X-Forwarded-For": "198.51.100.7, 198.51.100.8"}
    assert browser.log_in("ada").status == 303
    direct = Browser(make_site())
    for number in range(5):
        direct.headers = {"X-Forwarded-For": f"198.51.100.{number}"}
        assert direct.log_in("ada", "wrong").status == 401
    direct.headers = {"X-Forwarded-For": "198.51.100.77"}
    assert direct.log_in("ada", "wrong").status == 429, "a client cannot choose its address"


def test_a_websocket_needs_a_session_and_its_page_and_ends_with_the_session(browser: Browser) -> None:
    url = f"ws://127.0.0.1:{browser.site.port}/live"

    async def status_of(headers: dict[str, str]) -> int:
        async with aiohttp.ClientSession() as client:
            try:
                async with client.ws_connect(url, headers=headers):
                    return 101
            except aiohttp.WSServerHandshakeError as error:
                return error.status

    async def follow(headers: dict[str, str]) -> list[object]:
        async with aiohttp.ClientSession() as client, client.ws_connect(url, headers=headers) as live:
            await live.send_str("now")
            first = (await live.receive(timeout=10)).data
            browser.site.clock.now += 1799
            await live.send_str("now")
            second = (await live.receive(timeout=10)).data
            browser.site.clock.now += 1
            await live.send_str("now")
            return [first, second, (await live.receive(timeout=10)).data]

    own = {"Origin": browser.origin}
    assert asyncio.run(status_of(own)) == 401
    browser.log_in()
    cookie = f"centralcloud-session={browser.cookies['centralcloud-session']}"
    for headers in ({}, {"Origin": "http://evil.example"}, own | {"Sec-Fetch-Site": "cross-site"}):
        assert asyncio.run(status_of(headers | {"Cookie": cookie})) == 403
    assert asyncio.run(status_of(own | {"Cookie": cookie})) == 101
    assert asyncio.run(follow(own | {"Cookie": cookie})) == ["ada operator", "ada operator", 4401]


def test_reading_without_a_login_shows_no_name_and_a_login_is_still_possible(make_site: Callable[..., Site]) -> None:
    browser = Browser(make_site(read_needs_login=False))
    assert browser.get("/scores").text == "None viewer token="
    browser.log_in()
    assert browser.get("/scores").text.startswith("ada operator token=")
    open_to_all = Browser(make_site(users_file=None, read_needs_login=None))
    assert open_to_all.get("/scores", FROM_A_LINK).text == "None viewer token="


def test_a_change_is_refused_without_a_login_even_where_the_middleware_lets_it_through() -> None:
    request = make_mocked_request("POST", "/act")
    request[access._KNOWN] = access.Known(ANONYMOUS, "")
    with pytest.raises(web.HTTPUnauthorized):
        access.check_change(request, {"token": ""})
    with pytest.raises(KeyError):
        access.check_change(make_mocked_request("POST", "/act"), {"token": ""})
