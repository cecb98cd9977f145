"""Who may look."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from ride_trio.gateway import Access
from ride_trio.gateway.messages import Request

TOKENS = {"s3cret; a,b": "olga"}


def get(host: str = "localhost:8080", **headers: str) -> Request:
    return Request("GET", "/", headers={"host": host, **headers})


def form(token: str, **headers: str) -> Request:
    return Request("POST", "/login", headers={"host": "city.example", **headers}, body=f"token={token}".encode())


def status(access: Access, request: Request) -> int | None:
    objection = access.objection(request)
    return None if objection is None else int(objection.status)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", None),
        ("127.0.0.1:8080", None),
        ("[::1]:8080", None),
        ("evil.example", 403),
        ("localhost.evil.example:8080", 403),
        ("", 403),
        ("[::1", 403),
    ],
)
def test_without_tokens_loopback_is_open_to_those_who_mean_it(host: str, expected: int | None) -> None:
    assert status(Access(local=True), get(host)) == expected


def test_without_tokens_and_loopback_nobody_may_look() -> None:
    assert status(Access(), get()) == 403


def test_with_tokens_loopback_needs_one_too() -> None:
    access = Access(TOKENS.get, local=True)
    assert status(access, get()) == 401
    assert status(access, get(authorization="Bearer wrong")) == 401
    assert status(access, get(authorization="bearer s3cret; a,b")) is None


def test_a_browser_logs_in_and_has_a_cookie() -> None:
    access = Access(TOKENS.get)
    answer = access.log_in(form("s3cret%3B+a%2Cb"))
    extra = dict(answer.extra)
    assert (answer.status, extra["location"]) == (HTTPStatus.SEE_OTHER, "/")
    cookie, *attributes = extra["set-cookie"].split("; ")
    assert attributes == ["Path=/", "HttpOnly", "SameSite=Strict"]
    assert status(access, get(cookie=f"a=b; {cookie}")) is None
    assert status(access, get(cookie="ride_trio_operator=wrong")) == 401
    assert status(access, get(cookie="\x00;;=")) == 401


def test_under_tls_the_cookie_is_secure() -> None:
    extra = dict(Access(TOKENS.get, secure=True).log_in(form("s3cret%3B+a%2Cb")).extra)
    assert extra["set-cookie"].endswith("; Secure")


@pytest.mark.parametrize("access", [Access(TOKENS.get), Access(local=True)])
def test_a_wrong_token_leads_back_to_the_form(access: Access) -> None:
    for request in (form("wrong"), form(""), Request("POST", "/login", body=None)):
        answer = access.log_in(request)
        assert (answer.status, dict(answer.extra)) == (HTTPStatus.SEE_OTHER, {"location": "/login#failed"})


def test_another_sites_form_is_refused() -> None:
    answer = Access(TOKENS.get).log_in(form("s3cret%3B+a%2Cb", origin="https://evil.example"))
    assert answer.status is HTTPStatus.FORBIDDEN


def test_origins() -> None:
    access = Access(origins=frozenset(("https://app.example",)))
    for origin, foreign in (
        ("", False),
        ("http://localhost:8080", False),
        ("https://app.example", False),
        ("http://localhost", True),
        ("http://app.example", True),
        ("null", True),
        ("http://[", True),
        ("LOCALHOST:8080", True),
    ):
        assert access.is_foreign(get(origin=origin)) is foreign


def test_an_open_gateway_is_no_way_around_for_a_name_that_points_here() -> None:
    rebound = get("evil.example:8080", origin="http://evil.example:8080")
    assert Access(local=True).is_foreign(rebound)
    assert not Access(local=True).is_foreign(get("evil.example:8080"))  # a program: it may name anybody anyway
    assert not Access(local=True, origins=frozenset(("http://evil.example:8080",))).is_foreign(rebound)
    assert not Access(TOKENS.get, local=True).is_foreign(get("city.example", origin="https://city.example"))  # a proxy
