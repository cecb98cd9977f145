"""The page in Chromium on a real server: what tests/gateway/test_page.py cannot see."""

from __future__ import annotations

import base64
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser import chromium, page_of
from tests.demo import demo, server

PORTS = [option for name in ("grpc", "metrics", "http") for option in (f"--{name}-listen-addr", "127.0.0.1:0")]
GREEN_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGNg+M8AAAICAQB7CYF4AAAAAElFTkSuQmCC"
)
# The share of a picture's pixels that are greener than red by far, as nothing of the page's own is.
GREEN = """async (png) => {
  const picture = new Image();
  picture.src = `data:image/png;base64,${png}`;
  await picture.decode();
  const context = new OffscreenCanvas(picture.width, picture.height).getContext('2d');
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, picture.width, picture.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) if (data[i + 1] > data[i] + 60) n++;
  return (4 * n) / data.length;
}"""
LOADS = """address => new Promise((resolve) => {
  const image = new Image();
  image.onload = () => resolve(true);
  image.onerror = () => resolve(false);
  image.src = address;
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_city_lives_and_a_click_asks_it_for_a_ride(browser: Browser) -> None:
    with demo("--drivers", "30", "--riders", "10") as host, page_of(browser, host) as (page, watch):
        page.goto(f"http://{host}/")
        expect(page.locator("#connection")).to_have_text("Live")
        expect(page.locator("#figure-sessions")).to_contain_text("gRPC")
        page.get_by_role("button", name="Tables").click()
        positions = page.locator("#tables-body")
        expect(positions.get_by_role("row").nth(20)).to_be_attached()
        before = positions.inner_text()
        expect(positions).not_to_have_text(before)  # they drive
        page.keyboard.press("Escape")

        page.get_by_role("button", name="Ask for a ride").click()
        page.locator("#map").click(position={"x": 400, "y": 300})
        steps = page.locator("#rider-steps")
        expect(steps.locator('[data-step="matched"]')).to_contain_text("driver-", timeout=20_000)
        expect(steps.locator('[data-step="en-route"]')).to_contain_text(re.compile("away|is there"))  # on the map
        expect(page.locator("#trips")).to_contain_text("web-")
        assert (watch.errors, watch.elsewhere) == ([], [])


def test_an_operator_logs_in(browser: Browser, tmp_path: Path) -> None:
    operators = tmp_path / "operators"
    operators.write_text("s3cret olga\n")
    with server(*PORTS, "--operator-tokens", str(operators)) as host, page_of(browser, host) as (page, watch):
        page.goto(f"http://{host}/")
        page.wait_for_url("**/login")
        page.get_by_label("Operator's token").fill("guess")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_label("Operator's token").fill("s3cret")
        page.keyboard.press("Enter")
        expect(page.locator("#connection")).to_have_text("Live")
        expect(page.locator("#nobody")).to_be_visible()  # it may observe
        expect(page.locator("#figure-sessions .value")).to_have_text("1")
        assert page.evaluate("document.cookie") == ""
        (cookie,) = page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert watch.errors == []
        operators.write_text("another olga\n")
        page.wait_for_url("**/login")
        assert all("401" in error for error in watch.errors)
        watch.errors.clear()


def test_tiles_come_from_where_the_setting_says_and_from_nowhere_else(browser: Browser) -> None:
    url = "http://tiles.example:8081/{z}/{x}/{y}.png?size=256"
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(content_type="image/png", body=GREEN_PIXEL)

    with server(*PORTS, "--map-tile-url", url) as host, page_of(browser, host) as (page, watch):
        page.context.route("**/*.example:8081/**", answer)
        page.goto(f"http://{host}/")
        expect(page.locator("#connection")).to_have_text("Live")
        deadline = time.monotonic() + 10
        while page.evaluate(GREEN, base64.b64encode(page.locator("#map").screenshot()).decode()) < 0.4:
            assert time.monotonic() < deadline, "the tiles are not on the map"
        assert all(re.fullmatch(r"http://tiles\.example:8081/\d+/\d+/\d+\.png\?size=256", tile) for tile in asked)
        assert len(asked) == len(set(asked))
        assert (watch.errors, set(watch.elsewhere)) == ([], set(asked))
        watch.elsewhere.clear()
        for other in ("http://tiles.example/1/1/1.png", "http://other.example:8081/1/1/1.png"):
            assert page.evaluate(LOADS, other) is False
        assert len(watch.errors) == 2
        assert all("Content Security Policy" in error for error in watch.errors)
        watch.errors.clear()
        watch.elsewhere.clear()


def test_after_a_restart_of_the_server_the_page_is_back_by_itself(browser: Browser) -> None:
    options = [*PORTS, "--http-listen-addr", f"127.0.0.1:{free_port()}"]
    context = browser.new_context()
    page = context.new_page()
    with server(*options) as host:
        page.goto(f"http://{host}/")
        expect(page.locator("#connection")).to_have_text("Live")
        expect(page.locator("#nobody")).to_be_visible()
    expect(page.locator("#connection")).to_have_text("Offline")
    expect(page.locator("#banner")).to_contain_text("Connection lost")
    with server(*options):
        expect(page.locator("#connection")).to_have_text("Live", timeout=15_000)
        expect(page.locator("#banner")).to_be_hidden()
        expect(page.locator("#uptime")).to_have_text(re.compile(r"up \d+ s"))
    context.close()
