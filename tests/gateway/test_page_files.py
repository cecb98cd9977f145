"""The page's files: from memory, under a strict policy."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

import pytest

from ride_trio.gateway import PageFiles
from ride_trio.gateway.messages import Request


@pytest.fixture
def page(tmp_path: Path) -> PageFiles:
    (tmp_path / "js").mkdir()
    (tmp_path / "index.html").write_text("<p>map</p>")
    (tmp_path / "login.html").write_text("<form>")
    (tmp_path / "js" / "main.js").write_text("// é")
    (tmp_path / "secret.py").write_text("")
    return PageFiles("https://tiles.example/{z}/{x}/{y}.png", tmp_path)


def get(path: str, **headers: str) -> Request:
    return Request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_the_document_and_its_policy(page: PageFiles) -> None:
    answer = page.index(get("/"))
    extra = dict(answer.extra)
    assert (answer.status, answer.body, answer.content_type) == (200, b"<p>map</p>", "text/html; charset=utf-8")
    policy = extra["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'" in policy
    assert "img-src 'self' data: https://tiles.example;" in policy
    assert policy.endswith("frame-ancestors 'none'; form-action 'none'")


def test_only_the_login_page_may_send_a_form(page: PageFiles) -> None:
    assert dict(page.login(get("/login")).extra)["content-security-policy"].endswith("form-action 'self'")


def test_without_tiles_images_are_our_own(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("x")
    policy = dict(PageFiles(folder=tmp_path).index(get("/")).extra)["content-security-policy"]
    assert "img-src 'self' data:; " in policy


def test_static_files(page: PageFiles) -> None:
    answer = page.static(get("/static/js/main.js"))
    assert (answer.body.decode(), answer.content_type) == ("// é", "text/javascript; charset=utf-8")


@pytest.mark.parametrize(
    "path", ["/static/", "/static/js", "/static/../secret.py", "/static/secret.py", "/static//js/main.js"]
)
def test_what_is_not_there(page: PageFiles, path: str) -> None:
    assert page.static(get(path)).status is HTTPStatus.NOT_FOUND


def test_what_the_browser_has_is_not_sent_again(page: PageFiles) -> None:
    etag = dict(page.index(get("/")).extra)["etag"]
    again = page.index(get("/", if_none_match=f'W/"x", {etag}'))
    assert (again.status, again.body, dict(again.extra)["etag"]) == (HTTPStatus.NOT_MODIFIED, b"", etag)
