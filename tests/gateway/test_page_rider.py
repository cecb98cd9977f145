"""The rider's console of the page in Chromium, on a gateway that says what the test wants."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.gateway.fake_gateway import (
    AT_PICKUP,
    AVAILABLE,
    EN_ROUTE,
    LATITUDE,
    LONGITUDE,
    ON_TRIP,
    FakeGateway,
)
from tests.gateway.sights import HERE, marks_at, wait_until


def ask(page: Page, gateway: FakeGateway) -> str:
    """Ask for a ride a little east of the driver; return the ride's id."""
    gateway.open(page)
    gateway.view(HERE)
    x, y = marks_at(page)
    page.get_by_role("button", name="Ask for a ride").click()
    page.locator("#map").click(position={"x": x + 60, "y": y})
    wait_until(page, lambda: gateway.said("rideStatusUpdate"))
    return str(gateway.said("rideStatusUpdate")[0]["rideId"])


def test_a_click_asks_for_a_ride_and_shows_every_step_of_it(page: Page, gateway: FakeGateway) -> None:
    ride_id = ask(page, gateway)
    assert [next(key for key in body if key != "messageId") for query, body in gateway.heard if query] == [
        "hello",
        "locationUpdate",
        "rideStatusUpdate",
    ]
    assert gateway.said("rideStatusUpdate")[0]["status"] == "STATUS_LOOKING"
    assert gateway.said("locationUpdate")[0]["longitude"] > LONGITUDE
    gateway.tell_rider(welcome={"heartbeatIntervalMs": "200", "heartbeatTimeoutMs": "600"})
    wait_until(page, lambda: len(gateway.said("locationUpdate")) > 2)  # its signs of life

    match = {"rideId": ride_id, "driverId": "driver-1", "vehiclePlate": "XK-482-B", "etaSeconds": "74"}
    gateway.tell_rider(matchEvent=match)
    steps = page.locator("#rider-steps")
    expect(steps.locator("[aria-current]")).to_have_text("Matcheddriver-1, XK-482-B")
    expect(steps).to_contain_text("Driver on the wayin 74 s")
    gateway.view(HERE, matched=[{"rideId": ride_id, "riderHandle": 2, "driverHandle": 1}])
    for kind, text in (
        (EN_ROUTE, "Driver on the way"),
        (AT_PICKUP, "Driver at the pickup"),
        (ON_TRIP, "On the trip"),
        (AVAILABLE, "Arrived"),
    ):
        gateway.view((1, LATITUDE, LONGITUDE, kind, 0))
        expect(steps.locator("[aria-current]")).to_contain_text(text)
    expect(page.get_by_role("button", name="Ask again")).to_be_visible()


def test_no_driver_is_said(page: Page, gateway: FakeGateway) -> None:
    ask(page, gateway)
    detail = "NO_DRIVER_FOUND: nobody within 5km for 30s"
    gateway.tell_rider(ack={"correlationId": "another", "success": False, "detail": detail})
    expect(page.locator("#rider-end")).to_have_text(f"No driver was found: {detail}")


def test_a_ride_can_be_cancelled(page: Page, gateway: FakeGateway) -> None:
    ask(page, gateway)
    page.get_by_role("button", name="Cancel the ride").click()
    wait_until(page, lambda: gateway.said("rideStatusUpdate")[-1]["status"] == "STATUS_CANCELLED")
    expect(page.locator("#rider-end")).to_have_text("Cancelled.")


def test_a_rider_whose_connection_breaks_says_so(page: Page, gateway: FakeGateway) -> None:
    ask(page, gateway)
    assert gateway.rider is not None
    gateway.rider.close(code=4000, reason="SESSION_TAKEN_OVER: elsewhere")
    expect(page.locator("#rider-end")).to_contain_text("SESSION_TAKEN_OVER")
