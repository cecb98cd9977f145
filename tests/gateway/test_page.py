"""The page in Chromium, on a gateway that says what the test wants."""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import page_of
from tests.gateway.fake_gateway import (
    AVAILABLE,
    DRIVER,
    LATITUDE,
    LONGITUDE,
    LOOKING,
    MATCHED,
    ON_TRIP,
    TRIP,
    FakeGateway,
    zones,
)
from tests.gateway.sights import CENTRE_OF_MARKS, HERE, marks_at, wait_until

# The same in every frame of a second, as far as it changes.
WAY_OF_MARKS = f"""async () => {{
  const way = [];
  for (const end = performance.now() + 1000; performance.now() < end;) {{
    await new Promise(requestAnimationFrame);
    const centre = ({CENTRE_OF_MARKS})();
    if (centre && Math.round(centre[0]) !== way.at(-1)) way.push(Math.round(centre[0]));
  }}
  return way;
}}"""


def test_it_observes_the_world_then_what_it_shows(page: Page, gateway: FakeGateway) -> None:
    gateway.open(page)
    (first,) = gateway.said("observe")
    assert first["view"] == {"south": -90, "west": -180, "north": 90, "east": 180}
    gateway.view(HERE)
    wait_until(page, lambda: len(gateway.said("observe")) == 2)
    view = gateway.said("observe")[1]["view"]
    assert view["south"] < LATITUDE < view["north"]
    assert view["west"] < LONGITUDE < view["east"] < view["west"] + 0.2


def test_it_counts_who_is_there(page: Page, gateway: FakeGateway) -> None:
    gateway.open(page)
    gateway.view()
    expect(page.locator("#nobody")).to_contain_text("Nobody is here yet")
    gateway.view(HERE, (2, 52.091, 5.12, ON_TRIP, 0), (3, 52.092, 5.12, LOOKING, 0), zones=zones((5209, 512, 2, 9)))
    expect(page.get_by_role("button", name="Available")).to_contain_text("1")
    expect(page.get_by_role("button", name="Waiting riders")).to_contain_text("1")
    expect(page.locator("#nobody")).to_be_hidden()


def test_while_nobody_sees_the_page_it_does_not_observe(page: Page, gateway: FakeGateway) -> None:
    gateway.open(page)
    for hidden in (True, False):
        page.evaluate(
            """hidden => {
              Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
              document.dispatchEvent(new Event('visibilitychange'));
            }""",
            hidden,
        )
    wait_until(page, lambda: len(gateway.said("observe")) == 3)
    assert [observe["maxRateHz"] > 0 for observe in gateway.said("observe")] == [True, False, True]


def test_a_driver_glides_from_report_to_report(page: Page, gateway: FakeGateway) -> None:
    gateway.open(page)
    gateway.view(HERE)
    x, y = marks_at(page)
    gateway.view((1, LATITUDE, LONGITUDE + 0.001, AVAILABLE, 90), snapshot=False)
    way = page.evaluate(WAY_OF_MARKS)
    assert way == sorted(way)
    assert len(way) > 3  # it was on the way
    assert way[-1] > x + 10
    assert abs(marks_at(page)[1] - y) < 2


def test_with_less_motion_it_does_not_glide(browser: Browser, gateway: FakeGateway) -> None:
    with page_of(browser, gateway.host, reduced_motion="reduce") as (page, _):
        gateway.open(page)
        gateway.view(HERE)
        marks_at(page)
        gateway.view((1, LATITUDE, LONGITUDE + 0.001, AVAILABLE, 90), snapshot=False)
        assert len(page.evaluate(WAY_OF_MARKS)) <= 2  # before and after


def test_a_hidden_state_is_not_on_the_map(page: Page, gateway: FakeGateway) -> None:
    gateway.open(page)
    gateway.view(HERE)
    marks_at(page)
    page.get_by_role("button", name="Available").click()
    wait_until(page, lambda: page.evaluate(CENTRE_OF_MARKS) is None)


def test_a_match_is_a_line_that_fades(page: Page, gateway: FakeGateway) -> None:
    gateway.open(page)
    rider = (2, LATITUDE, LONGITUDE + 0.003, MATCHED, 0)
    matched = [{"rideId": "r-1", "riderHandle": 2, "driverHandle": 1}]
    gateway.view(HERE, rider)
    marks_at(page)
    plain = page.evaluate(CENTRE_OF_MARKS)[2]
    gateway.view(HERE, rider, matched=matched)
    wait_until(page, lambda: page.evaluate(CENTRE_OF_MARKS)[2] > plain + 10)
    wait_until(page, lambda: page.evaluate(CENTRE_OF_MARKS)[2] <= plain)


def test_a_click_on_a_driver_tells_its_story(page: Page, gateway: FakeGateway) -> None:
    gateway.open(page)
    gateway.view(HERE)
    x, y = marks_at(page)
    page.locator("#map").click(position={"x": x, "y": y})
    story = page.get_by_role("region", name="driver-1")
    expect(story).to_contain_text("driver, on trip")
    expect(story).to_contain_text("9.0 m/s east")
    expect(story).to_contain_text("matched with <b>rider-1</b>")  # text, not markup
    page.keyboard.press("Escape")
    expect(story).to_be_hidden()


def test_an_answer_that_comes_late_is_not_told_of_another(page: Page, gateway: FakeGateway) -> None:
    gateway.answers["handles/2"] = {**DRIVER, "handle": 2, "user_id": "driver-2"}
    gateway.answers["users/driver-2"] = gateway.answers["handles/2"]
    gateway.delays["handles/1"] = 1.0
    gateway.open(page)
    gateway.view(HERE, (2, LATITUDE, LONGITUDE + 0.003, AVAILABLE, 90))
    marks_at(page)
    page.locator("#map").focus()
    for key in ("ArrowLeft", "n", "n"):  # nearer to the western one: that first, then the other
        page.keyboard.press(key)
        page.wait_for_timeout(200)
    for _ in range(2):
        expect(page.locator("#story-title")).to_have_text("driver-2")
        page.wait_for_timeout(1_200)


def test_a_trip_of_the_list_tells_it_too_and_moves_the_map(page: Page, gateway: FakeGateway) -> None:
    gateway.open(page)
    gateway.view(HERE)
    page.get_by_role("button", name="driver-1 → rider-1").click()
    expect(page.get_by_role("region", name="driver-1")).to_be_visible()


def test_who_has_left_has_no_story(page: Page, gateway: FakeGateway) -> None:
    gateway.answers["trips"] = [{**TRIP, "driver_id": "", "status": "LOOKING"}]
    gateway.answers["users/rider-1"] = {"user_id": "rider-1", "role": "rider", "status": "", "ride": None}
    gateway.open(page)
    page.get_by_role("button", name="rider-1").click()
    expect(page.locator("#story-status")).to_have_text("rider, said no status")


def test_the_figures_are_rates_of_the_totals(page: Page, gateway: FakeGateway) -> None:
    gateway.open(page)
    expect(page.locator("#figure-sessions")).to_contain_text("1,234")
    expect(page.locator("#uptime")).to_have_text("up 2 h 13 min")
    totals = {**gateway.answers["summary"]["totals"], "messages_in": 500, "matches": 3}
    gateway.answers["summary"] = {**gateway.answers["summary"], "at_unix_millis": 1_000, "totals": totals}
    expect(page.locator("#figure-messages-in .value")).to_have_text("500")
    expect(page.locator("#figure-matches .value")).to_have_text("180")


def test_acks_are_timed_by_the_server_and_by_the_pages_own_heartbeats(page: Page, gateway: FakeGateway) -> None:
    gateway.open(page)
    assert gateway.feed is not None
    figure, note = page.locator("#figure-ack .value"), page.locator("#figure-ack .note")
    expect(figure).to_have_text("0.21")
    expect(note).to_have_text(re.compile(r"p99 3\.4, to here \D ms"))
    wait_until(page, lambda: gateway.said("heartbeat"))
    gateway.feed.send('{"ack": {"correlationId": "1", "success": true}}')
    expect(note).to_have_text(re.compile(r"p99 3\.4, to here [\d.]+ ms"))
    gateway.answers["summary"] = {**gateway.answers["summary"], "ack_latency_ms": None}
    expect(figure).to_have_text(re.compile(r"^\D$"))


def test_by_keyboard(page: Page, gateway: FakeGateway) -> None:
    gateway.open(page)
    gateway.view(HERE, (2, LATITUDE + 0.002, LONGITUDE, AVAILABLE, 0))
    marks_at(page)
    scale = page.locator("#scale").inner_text()
    page.keyboard.press("Tab")
    page.locator("#map").focus()
    for _ in range(4):
        page.keyboard.press("-")
    expect(page.locator("#scale")).not_to_have_text(scale)
    page.keyboard.press("s")
    expect(page.locator("#announcer")).to_contain_text("Available 2")
    page.keyboard.press("n")
    expect(page.locator("#story")).to_be_visible()
    expect(page.locator("#map")).to_be_focused()


def test_the_whole_city_is_asked_for_before_it_is_shown(page: Page, gateway: FakeGateway) -> None:
    gateway.open(page)
    gateway.view(HERE)
    marks_at(page)
    scale = page.locator("#scale").inner_text()
    page.get_by_role("button", name="Show the whole city").click()
    page.wait_for_timeout(400)  # the map had just been moved, and would have asked for what it shows
    assert gateway.said("observe")[-1]["view"]["north"] == 90
    gateway.view(HERE, (2, LATITUDE + 0.2, LONGITUDE, AVAILABLE, 0))  # who was out of sight
    expect(page.locator("#scale")).not_to_have_text(scale)
    gateway.view()
    expect(page.locator("#nobody")).to_have_text("Nobody is in this part of the map.")


def test_the_map_as_tables(page: Page, gateway: FakeGateway) -> None:
    gateway.answers["topics"] = [
        {"name": "ride.matches", "partitions": 4, "begin": 0, "end": 12, "records": 12, "bytes": 90}
    ]
    gateway.open(page)
    gateway.view(HERE)
    page.get_by_role("button", name="Tables").click()
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("row").nth(1)).to_contain_text("driver, available")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Trips")).to_be_focused()
    expect(page.get_by_role("row").nth(1)).to_contain_text("rider-1")
    page.get_by_role("tab", name="Log topics").click()
    expect(page.get_by_role("row").nth(1)).to_contain_text("ride.matches")
    page.keyboard.press("Escape")
    expect(page.get_by_role("table")).to_be_hidden()


def test_it_comes_back_by_itself_and_says_so(page: Page, gateway: FakeGateway) -> None:
    gateway.open(page)
    gateway.view(HERE)
    assert gateway.feed is not None
    gateway.refuses = True
    gateway.feed.close(code=1001, reason="SHUTDOWN: until later")
    expect(page.locator("#banner")).to_contain_text("Connection lost")
    expect(page.locator("#connection")).to_have_text("Offline")
    asked = len(gateway.said("observe"))
    gateway.refuses = False
    expect(page.locator("#connection")).to_have_text("Live")
    expect(page.locator("#banner")).to_be_hidden()
    wait_until(page, lambda: len(gateway.said("observe")) > asked)


def test_who_may_not_look_any_more_is_sent_to_log_in(browser: Browser, gateway: FakeGateway) -> None:
    with page_of(browser, gateway.host) as (page, watch):
        gateway.open(page)
        gateway.answers["summary"] = 401
        page.wait_for_url("**/login")
        expect(page.get_by_label("Operator's token")).to_be_focused()
        expect(page.get_by_role("alert")).to_be_hidden()
        page.goto(f"http://{gateway.host}/login#failed")
        expect(page.get_by_role("alert")).to_be_visible()
        assert all("401" in error for error in watch.errors)
        watch.errors.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system_until_chosen(browser: Browser, gateway: FakeGateway, scheme: Any) -> None:
    other = {"light": "dark", "dark": "light"}[scheme]
    with page_of(browser, gateway.host, color_scheme=scheme) as (page, _):
        gateway.open(page)
        expect(page.locator("html")).to_have_attribute("data-theme", scheme)
        page.get_by_role("button", name="Dark colours").click()
        page.reload()
        expect(page.locator("html")).to_have_attribute("data-theme", other)


def test_on_a_phone_nothing_is_cut_off_and_the_sheet_opens(browser: Browser, gateway: FakeGateway) -> None:
    with page_of(browser, gateway.host, viewport={"width": 360, "height": 640}, has_touch=True) as (page, _):
        gateway.open(page)
        gateway.view(HERE)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        expect(page.locator("#figures")).not_to_be_in_viewport()
        page.get_by_role("button", name="Show more").click()
        expect(page.locator("#figures")).to_be_in_viewport()
        page.get_by_role("button", name="Show less").click()
        x, y = marks_at(page)
        page.touchscreen.tap(x, y + 48)  # below the head
        expect(page.get_by_role("region", name="driver-1")).to_be_in_viewport()


def test_every_control_has_a_name(page: Page, gateway: FakeGateway) -> None:
    gateway.open(page)
    named = re.compile(r".+")
    buttons = page.get_by_role("button", include_hidden=True)
    assert buttons.count() > 15
    for at in range(buttons.count()):
        if buttons.nth(at).is_visible():
            expect(buttons.nth(at)).to_have_accessible_name(named)


def test_five_thousand_drivers_leave_time_in_a_frame(
    page: Page, gateway: FakeGateway, record_property: pytest.RecordProperty
) -> None:
    """Thirty frames a second leave 33 ms each; drawing takes a third of that without a graphics card."""
    draw = Random(1)
    rows = [
        (n, LATITUDE + draw.gauss(0, 0.04), LONGITUDE + draw.gauss(0, 0.06), draw.randrange(3, 7), draw.randrange(360))
        for n in range(1, 5_001)
    ]
    gateway.open(page)
    frames = []
    for _ in range(20):
        rows = [(n, lat + 2e-5, lon + 3e-5, kind, heading) for n, lat, lon, kind, heading in rows]
        gateway.view(*rows)
        page.wait_for_timeout(200)
        frames.append(page.evaluate("({ ...document.getElementById('map').dataset })"))
    best = min(frames[8:], key=lambda seen: float(seen["frameMs"]))
    record_property("frames with 5,000 drivers", best)
    assert float(best["frameMs"]) < 33
    assert max(int(seen["frames"]) for seen in frames[8:]) >= 25
