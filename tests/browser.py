"""Debian's Chromium, driven by Playwright, and a page that remembers whatever was wrong with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

# Whatever this says, Chromium asks nobody but loopback for anything.
OFFLINE = [
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser while the block runs; without Chromium the test skips."""
    path = os.environ.get("RIDE_TRIO_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not here: apt-get install chromium, or say where it is with RIDE_TRIO_CHROMIUM")
    no_sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # root's Chromium has none
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*OFFLINE, "--disable-gpu", *no_sandbox])
        try:
            yield browser
        finally:
            browser.close()


class Watch:
    """What a page does that it should not.

    Attributes:
        errors: what it complained of: on the console, uncaught, or refused by the Content-Security-Policy.
        elsewhere: addresses that it asked for and that are not `host`.
    """

    def __init__(self, page: Page, host: str) -> None:
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        self._host = host
        page.on("console", lambda message: message.type in ("error", "warning") and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.context.on("request", self._look_at)

    def _look_at(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.netloc != self._host:
            self.elsewhere.append(request.url)


@contextmanager
def page_of(browser: Browser, host: str, **options: Any) -> Iterator[tuple[Page, Watch]]:
    """A new page, with nothing kept from others; at its end it must have done nothing wrong.

    Args:
        host: address and port that it may speak to.
        options: of Playwright's `new_context`.
    """
    context = browser.new_context(**{"viewport": {"width": 1000, "height": 700}, **options})
    context.set_default_timeout(10_000)
    page = context.new_page()
    watch = Watch(page, host)
    try:
        yield page, watch
        assert watch.errors == []
        assert watch.elsewhere == []
    finally:
        context.close()


PAGE = Path(__file__).parents[1] / "ride_trio/gateway/page"
