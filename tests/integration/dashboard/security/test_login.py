"""Login, sessions and logout over real connections."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from centralcloud.dashboard.security.passwords import Cost, PasswordHash, hash_password

from .conftest import PASSWORD, Browser, Site

HOUR = 3600


def test_a_page_leads_to_the_login_and_the_login_back_to_the_page(browser: Browser) -> None:
    asked = browser.get("/scores?complexity=complex&sort=a%2Fb")
    assert asked.status == 303
    assert asked.location == "/login?next=/scores%3Fcomplexity%3Dcomplex%26sort%3Da%252Fb"
    form = browser.get(asked.location)
    assert form.status == 200
    found = re.search(r'name="next" value="([^"]*)"', form.text)
    assert found is not None
    target = found.group(1).replace("&amp;", "&")
    answer = browser.log_in(next=target)
    assert (answer.status, answer.location) == (303, "/scores?complexity=complex&sort=a%2Fb")
    assert browser.get("/scores").text.startswith("ada operator token=")
    assert browser.get("/login").location == "/"


@pytest.mark.parametrize(
    ("name", "password"), [("ada", "wrong"), ("unknown", PASSWORD), ("", ""), ("ADA", PASSWORD), ("ada\x00", PASSWORD)]
)
def test_a_wrong_name_or_password_is_401_and_the_same_page(name: str, password: str, browser: Browser) -> None:
    answer = browser.log_in(name, password, next="/scores")
    assert answer.status == 401
    assert "The name or the password is wrong." in answer.text
    assert 'name="next" value="/scores"' in answer.text
    assert password not in answer.text.replace("The name or the password is wrong.", "") or not password
    assert not answer.cookie
    assert browser.get("/scores").status == 303


def test_a_name_of_markup_is_shown_as_text(browser: Browser) -> None:
    answer = browser.log_in('"><script>alert(1)</script>', "wrong", next='/"><script>')
    assert answer.status == 401
    assert "<script>" not in answer.text


def test_each_login_is_the_same_work_for_known_and_unknown_names(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[tuple[Any, str]] = []
    real = PasswordHash.matches

    def counting(self: PasswordHash, password: str) -> bool:
        hashed.append((self.cost, password))
        return real(self, password)

    monkeypatch.setattr(PasswordHash, "matches", counting)
    for name in ("ada", "unknown", ""):
        assert browser.log_in(name, "wrong").status == 401
    assert len(hashed) == 3
    assert len(set(hashed)) == 1, "one cost, one password, one hash for each try"


def test_a_password_that_is_too_long_is_wrong_and_costs_no_more(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    real = PasswordHash.matches
    monkeypatch.setattr(
        PasswordHash, "matches", lambda self, password: (lengths.append(len(password)), real(self, password))[1]
    )
    assert browser.log_in("ada", "x" * 10_000).status == 401
    assert lengths == [1025]
    assert browser.log_in("ada", "x" * 20_000).status == 413


def test_the_sixth_try_is_429_and_says_when(browser: Browser) -> None:
    for _ in range(5):
        assert browser.log_in("ada", "wrong").status == 401
    browser.site.clock.now += 18
    refused = browser.log_in("ada")
    assert refused.status == 429
    assert refused.headers["Retry-After"] == "42"
    assert "Too many tries: the next one is possible in 42 seconds." in refused.text
    browser.site.clock.now += 42
    assert browser.log_in("ada").status == 303


def test_wrong_tries_of_others_keep_no_operator_out_of_a_browser_that_is_known(browser: Browser) -> None:
    """All come from one address, as behind a proxy that passes on none, and the attacker knows the name."""
    assert browser.log_in("ada").status == 303
    attacker, stranger = Browser(browser.site), Browser(browser.site)
    while attacker.log_in("ada", "wrong").status != 429:
        pass
    assert stranger.log_in("ada").status == 429
    assert stranger.log_in("bob", "wrong").status == 401, "other names have tries of their own"
    assert browser.log_in("ada").status == 303


def test_the_mark_of_a_browser_is_not_a_login_and_ends_with_the_password(browser: Browser, users_file: Path) -> None:
    browser.log_in("ada")
    session, mark = sorted(browser.cookies, key=len)
    assert mark == f"{session}-known"
    del browser.cookies[session]
    assert browser.get("/scores").status == 303
    for _ in range(5):
        assert browser.log_in("ada", "wrong").status == 401
    assert browser.log_in("ada").status == 429, "five tries, as for every other"
    browser.cookies[mark] = browser.cookies[mark][:-1] + "x"
    for _ in range(5):
        assert browser.log_in("ada", "wrong").status == 401
    assert browser.log_in("ada").status == 429, "a forged mark is none"
    other = Browser(browser.site)
    browser.site.clock.now += 60
    assert other.log_in("ada").status == 303
    users_file.write_text(f"ada:operator:{hash_password('another password', Cost(2, 1, 1))}\n")
    for _ in range(5):
        assert browser.log_in("ada", "wrong").status == 401
    assert other.log_in("ada", "another password").status == 429, "the mark is of the password before"


def test_many_tries_at_the_same_time_are_limited_before_they_are_hashed(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[int] = []
    most: list[int] = []

    def slow(self: PasswordHash, password: str) -> bool:
        import time

        running.append(1)
        most.append(len(running))
        time.sleep(0.05)
        running.pop()
        return False

    monkeypatch.setattr(PasswordHash, "matches", slow)
    browser.site.attempts.begin = lambda *_: 0.0  # type: ignore[method-assign]
    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda number: browser.log_in(f"user{number}", "wrong"), range(30)))
    assert max(most) == 2
    assert {answer.status for answer in answers} == {401, 429}
    assert {answer.headers["Retry-After"] for answer in answers if answer.status == 429} == {"5"}


def test_the_cookie_is_for_this_server_alone(browser: Browser) -> None:
    cookie = browser.log_in().cookie
    name, *attributes = cookie.split("; ")
    assert re.fullmatch(r"centralcloud-session=[\w-]{43}", name)
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Strict"]


def test_the_cookie_over_https_has_the_prefix_of_hosts(make_site: Callable[..., Site]) -> None:
    browser = Browser(make_site(trusted_proxies="127.0.0.1", public_url="https://cc.example"))
    browser.headers = {"Host": "cc.example", "X-Forwarded-Proto": "https"}
    answer = browser.post("/login", {"name": "ada", "password": PASSWORD}, {"Origin": "https://cc.example"})
    assert answer.status == 303
    name, *attributes = answer.cookie.split("; ")
    assert re.fullmatch(r"__Host-centralcloud-session=[\w-]{43}", name)
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Strict", "Secure"]
    assert browser.get("/scores").status == 200
    value = next(iter(browser.cookies.values()))
    browser.cookies = {"centralcloud-session": value}
    assert browser.get("/scores").status == 303, "a cookie that another host or plain HTTP could have set"


def test_a_login_over_plain_http_from_elsewhere_is_refused(make_site: Callable[..., Site]) -> None:
    browser = Browser(make_site(trusted_proxies="127.0.0.1", public_url="https://cc.example"))
    browser.headers = {"Host": "cc.example", "X-Forwarded-Proto": "http"}
    assert "plain HTTP" in browser.get("/login").text
    answer = browser.post("/login", {"name": "ada", "password": PASSWORD}, {"Origin": "http://cc.example"})
    assert answer.status == 403
    assert not answer.cookie
    assert "<form" not in answer.text


def test_a_login_has_a_new_id_and_ends_the_session_before(browser: Browser) -> None:
    browser.cookies = {"centralcloud-session": "A" * 43}
    browser.log_in()
    first = dict(browser.cookies)
    assert first["centralcloud-session"] != "A" * 43, "an id that an attacker has set is never taken"
    browser.log_in()
    assert browser.cookies != first
    assert browser.get("/scores").status == 200
    browser.cookies = first
    assert browser.get("/scores").status == 303


def test_a_session_ends_after_half_an_hour_without_a_request(browser: Browser) -> None:
    browser.log_in()
    for _ in range(3):
        browser.site.clock.now += HOUR / 2 - 1
        assert browser.get("/scores").status == 200
    browser.site.clock.now += HOUR / 2
    assert browser.get("/scores").status == 303


def test_a_session_ends_after_eight_hours(browser: Browser) -> None:
    browser.log_in()
    for _ in range(31):
        browser.site.clock.now += HOUR / 4
        assert browser.get("/scores").status == 200
    browser.site.clock.now += HOUR / 4
    assert browser.get("/scores").status == 303


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("multipart/form-data", 415),
        ("multipart/form-data; boundary=b", 415),
        ("text/plain", 415),
        ("application/json", 415),
        ("application/x-www-form-urlencoded; charset=nothing", 400),
        ("application/x-www-form-urlencoded; charset=base64", 400),
    ],
)
def test_a_form_that_no_browser_sends_is_refused_in_one_line(content_type: str, status: int, browser: Browser) -> None:
    answer = browser.post("/login", {"name": "ada", "password": PASSWORD}, {"Content-Type": content_type})
    assert (answer.status, answer.text.count("\n")) == (status, 1)
    assert not browser.cookies


def test_a_logout_needs_the_token_and_ends_the_session(browser: Browser) -> None:
    browser.log_in("vera")
    before = dict(browser.cookies)
    assert browser.post("/logout").status == 403
    assert browser.get("/logout").status == 405
    assert browser.get("/scores").status == 200
    answer = browser.post("/logout", {"token": browser.token()})
    assert (answer.status, answer.location) == (303, "/login")
    assert list(browser.cookies) == ["centralcloud-session-known"], "a mark of the browser, which is not a login"
    browser.cookies = before
    assert browser.get("/scores").status == 303


def test_a_change_of_the_file_ends_or_changes_sessions_at_once(browser: Browser, users_file: Path) -> None:
    def rewrite(text: str) -> None:
        new = users_file.with_name("new")
        new.touch(0o600)
        new.write_text(text)
        new.replace(users_file)

    original = users_file.read_text()
    browser.log_in("ada")
    token = browser.token()
    rewrite(original.replace("ada:operator", "ada:viewer"))
    assert browser.get("/scores").text.startswith("ada viewer")
    assert browser.post("/act", {"token": token, "what": "x"}).status == 403
    rewrite(original)
    assert browser.post("/act", {"token": token, "what": "y"}).status == 200
    rewrite(f"{original}damaged\n")
    assert browser.get("/scores").status == 200, "a damaged file logs no one out"
    ada, vera = original.splitlines()
    rewrite(f"{vera}\n")
    assert browser.get("/scores").status == 303
    rewrite(original)
    assert browser.get("/scores").status == 303, "the session is gone, not only hidden"
    browser.log_in("ada")
    other_hash = hash_of(vera)
    rewrite(original.replace(hash_of(ada), other_hash))
    assert browser.get("/scores").status == 303, "another password"
    assert browser.site.changes == ["y"]


def hash_of(line: str) -> str:
    return line.split(":")[2]


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "/a\r\nX: y", "/login"]
)
def test_a_login_leads_nowhere_else(target: str, browser: Browser) -> None:
    answer = browser.log_in(next=target)
    assert (answer.status, answer.location) == (303, "/")
    assert "X" not in answer.headers


def test_without_users_the_login_says_so(make_site: Callable[..., Site]) -> None:
    browser = Browser(make_site(users_file=None, trusted_proxies="10.0.0.1", proxy_user_header="X-Forwarded-User"))
    form = browser.get("/login")
    assert form.status == 403
    assert "open the dashboard through the proxy" in form.text
    assert browser.log_in().status == 403
