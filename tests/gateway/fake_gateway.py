"""A gateway that does what the test says: the real page over real HTTP, made-up answers, and a scripted WebSocket."""

from __future__ import annotations

import base64
import json
import mimetypes
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser import PAGE

# As the real gateway has it: what it forbids shows as an error on the console.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
LATITUDE, LONGITUDE = 52.0907, 5.1214
IDLE, LOOKING, MATCHED, AVAILABLE, EN_ROUTE, AT_PICKUP, ON_TRIP = range(7)
SUMMARY = {
    "at_unix_millis": 0,
    "uptime_s": 7_980.0,
    "sessions": {"grpc": 1_200, "websocket": 34},
    "riders_waiting": 3,
    "trips": 1,
    "ack_latency_ms": {"median": 0.21, "p99": 3.4},
    "totals": {"messages_in": 0, "messages_out": 0, "drops": 2, "matches": 0, "log_records": 0, "no_driver": 5},
}
TRIP = {
    "ride_id": "r-1",
    "rider_id": "rider-1",
    "driver_id": "driver-1",
    "status": "ON_TRIP",
    "since_unix_millis": 0,
    "eta_seconds": 74,
}
DRIVER = {
    "handle": 1,
    "user_id": "driver-1",
    "role": "driver",
    "status": "ON_TRIP",
    "latitude": LATITUDE,
    "longitude": LONGITUDE,
    "bearing": 90.0,
    "speed_mps": 9.0,
    "session": {"transport": "grpc", "opened_unix_millis": 0},
    "ride": TRIP,
    "events": [{"at_unix_millis": 0, "text": "matched with <b>rider-1</b>"}],
}


@dataclass
class FakeGateway:
    """See the module's text.

    Attributes:
        answers: what `/api/v1/...` says, by path, a number being a status; another path is not found.
        host: address and port.
        feed: the observers' socket that was opened last.
        rider: the riders' socket that was opened last.
        heard: every envelope a page has sent, with the socket's query.
        refuses: whether new sockets are closed at once, as when the server is away.
        delays: seconds that an answer of `/api/v1/...` takes, by path.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    host: str = ""
    feed: WebSocketRoute | None = None
    rider: WebSocketRoute | None = None
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refuses: bool = False
    delays: dict[str, float] = field(default_factory=dict)

    def script(self, page: Page) -> None:
        """Answer the page's WebSockets."""
        page.route_web_socket("**/ws**", self._accept)

    def open(self, page: Page) -> None:
        """Load the page, and wait until it observes."""
        self.script(page)
        page.goto(f"http://{self.host}/")
        expect(page.locator("#connection")).to_have_text("Live")

    def said(self, name: str, query: str = "") -> list[dict[str, Any]]:
        """The bodies of that name that pages have sent over sockets with that query."""
        return [body[name] for sent_by, body in self.heard if name in body and query in sent_by]

    def view(self, *rows: tuple[int, float, float, int, int], snapshot: bool = True, **more: Any) -> None:
        """Send observers a CityView. A row: handle, latitude, longitude, kind, heading in degrees."""
        packed = b"".join(
            struct.pack("<IiiBBBx", handle, round(lat * 1e6), round(lon * 1e6), kind, heading * 256 // 360, 9)
            for handle, lat, lon, kind, heading in rows
        )
        assert self.feed is not None
        changed = base64.b64encode(packed).decode()
        self.feed.send(json.dumps({"cityView": {"snapshot": snapshot, "changed": changed, **more}}))

    def tell_rider(self, **body: Any) -> None:
        """Send the rider's socket an envelope."""
        assert self.rider is not None
        self.rider.send(json.dumps(body))

    def _accept(self, route: WebSocketRoute) -> None:
        query = route.url.partition("?")[2]
        if self.refuses:
            route.close(code=1001, reason="SHUTDOWN: come back later")
            return
        if "user_id=" in query:
            self.rider = route
        else:
            self.feed = route
        route.on_message(lambda text: self.heard.append((query, json.loads(text))))


def zones(*rows: tuple[int, int, int, int]) -> str:
    """The field `zones` of a CityView. A row: row, column, sessions, activity."""
    return base64.b64encode(b"".join(struct.pack("<iiHH", *row) for row in rows)).decode()


@contextmanager
def fake_gateway() -> Iterator[FakeGateway]:
    """A gateway on loopback while the block runs."""
    fake = FakeGateway(
        {
            "version": {"version": "0.1.0", "tile_url": None},
            "summary": SUMMARY,
            "trips": [TRIP],
            "sessions": [],
            "zones": [],
            "topics": [],
            "handles/1": DRIVER,
            "users/driver-1": DRIVER,
        }
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake))
    server.block_on_close = False  # kept connections end with the browser's
    fake.host = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(fake: FakeGateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept: the page is thirty files

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path.startswith("/api/v1/"):
                time.sleep(fake.delays.get(path.removeprefix("/api/v1/"), 0.0))
                answer = fake.answers.get(path.removeprefix("/api/v1/"), 404)
                status = answer if isinstance(answer, int) else 200
                self._send(status, "application/json", json.dumps(answer).encode())
                return
            name = {"/": "index.html", "/login": "login.html"}.get(path, path.removeprefix("/static/"))
            file = PAGE / name
            kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
            self._send(200 if file.is_file() else 404, kind, file.read_bytes() if file.is_file() else b"")

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.send_header("content-security-policy", POLICY)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
