"""The page in Chromium on a real server: what tests/gateway/test_page.py cannot see."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser import chromium, page_of
from tests.demo import demo, server


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


def test_after_a_restart_of_the_server_the_page_is_back_by_itself(browser: Browser) -> None:
    ports = ["--grpc-listen-addr", "127.0.0.1:0", "--metrics-listen-addr", "127.0.0.1:0"]
    port = free_port()
    options = [*ports, "--http-listen-addr", f"127.0.0.1:{port}"]
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
