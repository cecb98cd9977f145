"""Makes the screenshots in docs/screenshots from a running demo: `just screenshots`.

Four pages look at the same city for a while, so that streets appear; then each is brought to show something.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser import chromium, page_of
from tests.demo import demo

FOLDER = Path(__file__).parents[2] / "docs/screenshots"
LOOK_S = 45.0  # until the traffic has drawn the streets
MAX_BYTES = 300_000  # a reader of the README loads them all
WIDE: dict[str, Any] = {"viewport": {"width": 1200, "height": 750}}
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 760}, "device_scale_factor": 1.5, "has_touch": True}


def tell_a_story(page: Page) -> None:
    """Of the newest trip."""
    page.locator("#trips button").first.click()
    page.wait_for_timeout(3_000)
    page.locator("#fit").click()
    page.locator("#side").evaluate("side => side.scrollTo(0, 0)")
    page.wait_for_timeout(2_000)


def ask_for_a_ride(page: Page) -> None:
    """From the middle of the city; until the driver is on its way."""
    page.get_by_role("button", name="Ask for a ride").click()
    box = page.locator("#map").bounding_box()
    assert box is not None
    if box["width"] > 600:
        page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.5)
        page.mouse.move(0, 0)
    else:
        page.touchscreen.tap(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.2)
    expect(page.locator("#rider-steps [aria-current]")).to_contain_text("Driver on the way", timeout=60_000)
    page.wait_for_timeout(1_000)


def nothing(page: Page) -> None:
    """The page as it opens."""


@dataclass
class Shot:
    """One picture: its name, how the browser is to be, and what to do first."""

    name: str
    scheme: str
    browser: dict[str, Any]
    act: Callable[[Page], None] = field(default=nothing)


SHOTS = (
    Shot("wide-light", "light", WIDE, tell_a_story),
    Shot("wide-dark", "dark", WIDE, ask_for_a_ride),
    Shot("narrow-light", "light", PHONE),
    Shot("narrow-dark", "dark", PHONE, ask_for_a_ride),
)


def main() -> None:
    """Make them all."""
    FOLDER.mkdir(exist_ok=True)
    with demo() as host, chromium() as browser, ExitStack() as pages:
        opened = [pages.enter_context(page_of(browser, host, color_scheme=s.scheme, **s.browser)) for s in SHOTS]
        for page, _ in opened:
            page.goto(f"http://{host}/")
        end = time.monotonic() + LOOK_S
        while time.monotonic() < end:
            for page, _ in opened:
                page.bring_to_front()
                page.wait_for_timeout(500)
        for shot, (page, _) in zip(SHOTS, opened, strict=True):
            page.bring_to_front()
            shot.act(page)
            save(page, FOLDER / f"{shot.name}.png")


def save(page: Page, file: Path) -> None:
    """Take a picture, and see that it is small enough."""
    page.screenshot(path=file)
    print(f"{file.name}: {file.stat().st_size:,} bytes")
    assert file.stat().st_size < MAX_BYTES, f"{file.name} is larger than {MAX_BYTES:,} bytes"


if __name__ == "__main__":
    main()
