"""Which request gets which answer, on the two ports that speak HTTP."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from ride_trio.gateway.access import LOGIN_PATH, Access
from ride_trio.gateway.api import Api
from ride_trio.gateway.http import Takeover
from ride_trio.gateway.messages import Answer, Request
from ride_trio.gateway.page_files import STATIC, PageFiles
from ride_trio.gateway.websockets import WebSockets

API_PATH = "/api/v1/"
WEBSOCKET_PATH = "/ws"


class Probes:
    """`/metrics`, `/healthz`, `/readyz`: all of the metrics port, and a part of the other.

    Args:
        exposition: makes the body of `/metrics` and its content type.

    Attributes:
        ready: what `/readyz` says: whether new clients should be sent here.
    """

    def __init__(self, exposition: Callable[[], tuple[bytes, str]]) -> None:
        self.ready = False
        self._exposition = exposition

    def answer(self, request: Request) -> Answer:
        """Answer for the port that has nothing else."""
        if request.method not in ("GET", "HEAD"):
            return _only("GET, HEAD")
        return self.metrics() if request.path == "/metrics" else self.health(request.path)

    def metrics(self) -> Answer:
        """For Prometheus."""
        body, content_type = self._exposition()
        return Answer(HTTPStatus.OK, body, content_type)

    def health(self, path: str) -> Answer:
        """For whoever watches over us."""
        match path:
            case "/readyz" if not self.ready:
                return Answer.refusal(HTTPStatus.SERVICE_UNAVAILABLE, "NOT_READY: the server is starting or stopping")
            case "/healthz" | "/readyz":
                return Answer(HTTPStatus.OK, b"OK\n")
            case _:
                return Answer.of(HTTPStatus.NOT_FOUND)


class Site:
    """All of HTTP_LISTEN_ADDR.

    Args:
        probes: health and metrics.
        access: who may look.
        page: the page's files.
        api: the JSON.
        websockets: what is behind `/ws`.
    """

    def __init__(self, probes: Probes, access: Access, page: PageFiles, api: Api, websockets: WebSockets) -> None:
        self._probes = probes
        self._access = access
        self._page = page
        self._api = api
        self._websockets = websockets

    def answer(self, request: Request) -> Answer | Takeover:
        """Answer a request, or tell who takes its connection over."""
        if request.path == LOGIN_PATH and request.method == "POST":
            return self._access.log_in(request)
        if request.method not in ("GET", "HEAD"):
            return _only("GET, HEAD")
        if request.path == WEBSOCKET_PATH:
            return self._websockets.answer(request)
        if request.path == LOGIN_PATH:
            return self._page.login(request)
        if request.path.startswith(STATIC):
            return self._page.static(request)
        return self._for_operators(request)

    def _for_operators(self, request: Request) -> Answer:
        path = request.path
        if path != "/metrics" and path != "/" and not path.startswith(API_PATH):
            return self._probes.health(path)
        objection = self._access.objection(request)
        if objection is not None:
            wants_page = path == "/" and objection.status is HTTPStatus.UNAUTHORIZED
            return Answer(HTTPStatus.SEE_OTHER, b"", extra=(("location", LOGIN_PATH),)) if wants_page else objection
        if path.startswith(API_PATH):
            return self._api.answer(path.removeprefix(API_PATH), request)
        return self._page.index(request) if path == "/" else self._probes.metrics()


def _only(methods: str) -> Answer:
    return Answer.of(HTTPStatus.METHOD_NOT_ALLOWED, ("allow", methods))
