"""What the page's tests see of its map, and how they wait for it."""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import Page

from tests.gateway.fake_gateway import AVAILABLE, LATITUDE, LONGITUDE

HERE = (1, LATITUDE, LONGITUDE, AVAILABLE, 90)
# Where the map's opaque pixels are on average, in pixels of the map; null if there are none. A quarter of the size is
# quick to read, and fine enough.
CENTRE_OF_MARKS = """() => {
  const life = document.querySelector('.life');
  const [width, height] = [life.width / 4, life.height / 4];
  const copy = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  copy.drawImage(life, 0, 0, width, height);
  const { data } = copy.getImageData(0, 0, width, height);
  let [x, y, n] = [0, 0, 0];
  for (let i = 3; i < data.length; i += 4) if (data[i] > 100) { x += (i >> 2) % width; y += (i >> 2) / width; n++; }
  return n ? [(4 * x) / n, (4 * y) / n, n] : null;
}"""


def marks_at(page: Page) -> tuple[float, float]:
    """Where they are, once there are any."""
    wait_until(page, lambda: page.evaluate(CENTRE_OF_MARKS))
    x, y, _ = page.evaluate(CENTRE_OF_MARKS)
    return x, y


def wait_until(page: Page, holds: Any) -> None:
    """Let the page run until `holds()`. Playwright's own wait for a function evaluates text: the policy forbids it."""
    deadline = time.monotonic() + 8
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        page.wait_for_timeout(20)
